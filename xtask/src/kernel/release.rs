//! Releases of kernels as package names spell them, and which of two is newer.

use std::fmt;

/// How Debian configures a kernel of that version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// `linux-image-VERSION-amd64`.
    Plain,
    /// With `PREEMPT_RT`: `linux-image-VERSION-rt-amd64`.
    Rt,
    /// For virtual machines of clouds: `linux-image-VERSION-cloud-amd64`.
    Cloud,
}

impl Flavour {
    /// Returns what follows the version in a package's name.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "-amd64",
            Self::Rt => "-rt-amd64",
            Self::Cloud => "-cloud-amd64",
        }
    }

    /// Returns what follows the version on the command line.
    #[must_use]
    pub fn tail(self) -> &'static str {
        self.suffix().strip_suffix("-amd64").unwrap_or_default()
    }
}

/// A release of a Debian kernel for amd64 machines, as `uname -r` says it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    // First, so that the derived order is the numeric one.
    numbers: Vec<u32>,
    text: String,
}

impl Release {
    /// Reads the release off an image package's name; `None` for every other flavour, for what is not to be booted
    /// (debug, unsigned) and for packages that only depend on the newest image.
    pub fn of_image(package: &str, flavour: Flavour) -> Option<Self> {
        let text = package.strip_prefix("linux-image-")?;
        let version = text.strip_suffix(flavour.suffix())?;
        let mut numbers = Vec::new();
        for part in version.split(['.', '-', '+']) {
            let digits = part.trim_start_matches("deb").trim_start_matches("bpo");
            match digits.parse() {
                Ok(number) => numbers.push(number),
                Err(_) if digits.is_empty() && !part.is_empty() => {}
                Err(_) => return None,
            }
        }
        (numbers.len() >= 3).then(|| Self {
            numbers,
            text: text.to_owned(),
        })
    }

    /// Whether it belongs to a line such as 6.1.
    pub fn is_of(&self, major: u32, minor: u32) -> bool {
        self.numbers.starts_with(&[major, minor])
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_signed_images_are_releases() {
        for (package, release) in [
            ("linux-image-6.1.0-56-amd64", "6.1.0-56-amd64"),
            ("linux-image-6.12.117+deb12-amd64", "6.12.117+deb12-amd64"),
            ("linux-image-6.12.90+deb13.1-amd64", "6.12.90+deb13.1-amd64"),
            ("linux-image-6.9.7+bpo-amd64", "6.9.7+bpo-amd64"),
        ] {
            let found =
                Release::of_image(package, Flavour::Plain).map(|release| release.to_string());
            assert_eq!(found.as_deref(), Some(release), "{package}");
        }
        for package in [
            "linux-image-amd64",
            "linux-image-6.12-amd64",
            "linux-image-6.1.0-56-amd64-unsigned",
            "linux-image-6.1.0-56-amd64-dbg",
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-rt-amd64",
            "linux-image-6.1.0-56-rt-amd64",
            "linux-image-7.4~rc3-amd64",
            "linux-image-6.1.0-56-arm64",
        ] {
            assert_eq!(
                Release::of_image(package, Flavour::Plain),
                None,
                "{package}"
            );
        }
    }

    #[test]
    fn releases_are_ordered_by_number_not_by_letter() {
        let ordered = [
            "linux-image-5.10.0-46-amd64",
            "linux-image-6.1.0-9-amd64",
            "linux-image-6.1.0-56-amd64",
            "linux-image-6.12.90+deb13-amd64",
            "linux-image-6.12.90+deb13.1-amd64",
            "linux-image-6.12.117+deb12-amd64",
            "linux-image-7.3.4+deb13-amd64",
        ];
        let releases: Vec<_> = ordered
            .iter()
            .filter_map(|name| Release::of_image(name, Flavour::Plain))
            .collect();
        assert_eq!(releases.len(), ordered.len());
        assert!(releases.is_sorted());
        assert!(releases[1].is_of(6, 1) && !releases[3].is_of(6, 1) && releases[3].is_of(6, 12));
    }
}
