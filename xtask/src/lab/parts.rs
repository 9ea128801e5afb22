//! Parts of a guest as they are written on a command line.

use std::path::PathBuf;
use std::str::FromStr;

/// How many CPUs a guest has, read from `ONLINE[,POSSIBLE]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpus {
    /// CPUs that run.
    pub online: u32,
    /// CPUs the kernel makes room for; never fewer than `online`.
    pub possible: u32,
}

impl FromStr for Cpus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number =
            |part: &str| {
                part.parse::<u32>().ok().filter(|&count| count > 0).ok_or_else(|| {
                format!("{part:?} is not a number of CPUs: write 2, or 4,64 for 4 of 64 possible")
            })
            };
        let (online, possible) = text.split_once(',').unwrap_or((text, text));
        let cpus = Self {
            online: number(online)?,
            possible: number(possible)?,
        };
        if cpus.possible < cpus.online {
            return Err(format!(
                "{} CPUs cannot be online where only {} are possible",
                cpus.online, cpus.possible
            ));
        }
        Ok(cpus)
    }
}

/// Something of the host to have in the guest, read from `SRC[:DST]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// File or folder on the host.
    pub source: PathBuf,
    /// Where it is in the guest; without one, the lab chooses by the source's name.
    pub destination: Option<PathBuf>,
}

impl FromStr for Copy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (source, destination) = match text.split_once(':') {
            Some((source, destination)) => (source, Some(destination)),
            None => (text, None),
        };
        if source.is_empty() || destination.is_some_and(|path| !path.starts_with('/')) {
            return Err(format!("{text:?} is not SRC[:DST] with an absolute DST"));
        }
        Ok(Self {
            source: source.into(),
            destination: destination.map(PathBuf::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_online_and_possible() {
        for (text, online, possible) in [("2", 2, 2), ("4,64", 4, 64), ("1,1", 1, 1)] {
            assert_eq!(text.parse(), Ok(Cpus { online, possible }), "{text}");
        }
        for text in ["", "0", "4,2", "two", "1,", ",4", "1,2,3"] {
            assert!(text.parse::<Cpus>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_copy_names_a_source_and_perhaps_an_absolute_destination() {
        let copy = |source: &str, destination: Option<&str>| Copy {
            source: source.into(),
            destination: destination.map(PathBuf::from),
        };
        assert_eq!("a/b.ko".parse(), Ok(copy("a/b.ko", None)));
        assert_eq!("a:/root/a".parse(), Ok(copy("a", Some("/root/a"))));
        assert!("a:b".parse::<Copy>().is_err());
        assert!(":/b".parse::<Copy>().is_err());
    }
}
