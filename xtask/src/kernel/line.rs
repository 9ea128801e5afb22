//! Lines of Debian's kernels, as the command line names them: `6.1`, `6.1-rt`, `newest`.

use std::{fmt, str::FromStr};

use super::release::{Flavour, Release};

/// A line of kernels that the lab can boot: a version, or the highest there is, in one of Debian's flavours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Line {
    /// Major and minor number; `None` for the highest version that Debian offers in binary form.
    version: Option<(u32, u32)>,
    flavour: Flavour,
}

/// Suites to look at together.
type Group = &'static [&'static str];

impl Line {
    /// Debian 11's; its archive is closing down.
    pub const V5_10: Self = Self::of(5, 10, Flavour::Plain);
    /// Debian 12's.
    pub const V6_1: Self = Self::of(6, 1, Flavour::Plain);
    /// Debian 12's with `PREEMPT_RT`.
    pub const V6_1_RT: Self = Self::of(6, 1, Flavour::Rt);
    /// Debian 12's for clouds.
    pub const V6_1_CLOUD: Self = Self::of(6, 1, Flavour::Cloud);
    /// Debian 13's, also offered for Debian 12.
    pub const V6_12: Self = Self::of(6, 12, Flavour::Plain);
    /// The highest version that Debian offers in binary form.
    pub const NEWEST: Self = Self {
        version: None,
        flavour: Flavour::Plain,
    };

    /// The lines that the tests boot, oldest first.
    pub const TESTED: [Self; 6] = [
        Self::V5_10,
        Self::V6_1,
        Self::V6_1_RT,
        Self::V6_1_CLOUD,
        Self::V6_12,
        Self::NEWEST,
    ];

    const fn of(major: u32, minor: u32, flavour: Flavour) -> Self {
        Self {
            version: Some((major, minor)),
            flavour,
        }
    }

    /// Returns which of Debian's releases has it as its own.
    #[must_use]
    pub fn distribution(self) -> &'static str {
        match self.version {
            Some((5, 10)) => "Debian 11",
            Some((6, 1)) => "Debian 12",
            Some((6, 12)) => "Debian 13, 12 (optional)",
            Some(_) => "Debian",
            None => "Debian's newest",
        }
    }

    /// Returns where to look: the highest release of the first group that has any.
    pub(super) fn suites(self) -> &'static [Group] {
        const BULLSEYE: Group = &["bullseye-security", "bullseye"];
        const BOOKWORM: Group = &["bookworm-security", "bookworm"];
        const TRIXIE: Group = &["trixie-security", "trixie"];
        const COMING: Group = &["trixie-backports", "sid"];
        match self.version {
            Some((5, 10)) => &[BULLSEYE],
            Some((6, 1)) => &[BOOKWORM],
            Some((6, 12)) => &[&["bookworm-security"], TRIXIE],
            Some(_) => &[
                TRIXIE,
                COMING,
                BOOKWORM,
                &["bookworm-backports"],
                BULLSEYE,
                &["bullseye-backports"],
            ],
            None => &[&["trixie-backports", "sid", "trixie"]],
        }
    }

    /// Returns the release of this line that an image package holds.
    pub(super) fn release(self, package: &str) -> Option<Release> {
        let release = Release::of_image(package, self.flavour)?;
        let is_of_line = self
            .version
            .is_none_or(|(major, minor)| release.is_of(major, minor));
        is_of_line.then_some(release)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some((major, minor)) => write!(f, "{major}.{minor}{}", self.flavour.tail()),
            None => write!(f, "newest{}", self.flavour.tail()),
        }
    }
}

impl FromStr for Line {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| {
            format!(
                "{text:?} is no kernel line: write MAJOR.MINOR or newest, followed by -rt or -cloud for that flavour, as in {}",
                Self::TESTED.map(|line| line.to_string()).join(", ")
            )
        })
    }
}

fn parse(text: &str) -> Option<Line> {
    let (version, tail) = match text.find('-') {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let mut flavours = [Flavour::Plain, Flavour::Rt, Flavour::Cloud].into_iter();
    let flavour = flavours.find(|flavour| flavour.tail() == tail)?;
    if version == "newest" {
        return Some(Line {
            version: None,
            flavour,
        });
    }
    let number = |digits: &str| {
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| is_number)
    };
    let (major, minor) = version.split_once('.')?;
    Some(Line::of(number(major)?, number(minor)?, flavour))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_named_as_on_the_command_line() {
        for line in Line::TESTED {
            assert_eq!(line.to_string().parse(), Ok(line));
        }
        for text in ["6.16", "7.3-cloud", "newest-rt"] {
            assert_eq!(text.parse::<Line>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "6",
            "6.1.2",
            "6.+1",
            "6.1-debug",
            "6.1-",
            "newest-",
            "-rt",
        ] {
            let error = text.parse::<Line>().unwrap_err();
            assert!(
                error.contains("5.10, 6.1, 6.1-rt, 6.1-cloud, 6.12, newest"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_package_belongs_to_the_line_of_its_version_and_flavour() {
        let rt = "linux-image-6.1.0-56-rt-amd64";
        let plain = "linux-image-6.1.0-56-amd64";
        assert!(Line::V6_1_RT.release(rt).is_some());
        assert!(Line::V6_1.release(plain).is_some());
        for (line, package) in [(Line::V6_1, rt), (Line::V6_1_RT, plain), (Line::NEWEST, rt)] {
            assert_eq!(line.release(package), None, "{line} {package}");
        }
        assert_eq!(Line::V6_12.release(plain), None);
        assert!(Line::NEWEST.release(plain).is_some());
    }
}
