//! Files of livepatches for tests, made by hand.
#![allow(
    clippy::missing_panics_doc,
    reason = "a sample that cannot be made fails the test"
)]

pub mod made;

use made::{Made, Piece};

use crate::Module;

/// A hotfix that nothing speaks against on 6.1.0-56-amd64.
#[must_use]
pub fn sample() -> Module {
    Module::parse(&Made::livepatch(Piece::function().when(500).jump("mod_timer")).bytes()).unwrap()
}

/// Its file, under a name of four letters, and with another period.
#[must_use]
pub fn sample_file(name: &str, jiffies: u32) -> Vec<u8> {
    let file = Made::livepatch(Piece::function().when(jiffies).jump("mod_timer")).bytes();
    renamed(file, name)
}

/// The file of one that never sets the timer again.
#[must_use]
pub fn sample_that_kills(name: &str) -> Vec<u8> {
    renamed(Made::livepatch(Piece::function().back()).bytes(), name)
}

fn renamed(mut file: Vec<u8>, name: &str) -> Vec<u8> {
    let key = b"made\0";
    let places = file.windows(key.len()).enumerate();
    let places = places.filter(|(_, bytes)| bytes == key);
    let places: Vec<usize> = places.map(|(at, _)| at).collect();
    assert_eq!(
        places.len(),
        2,
        "in .modinfo, and where the kernel takes it from"
    );
    for at in places {
        file[at..at + 4].copy_from_slice(name.as_bytes());
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rearms;

    #[test]
    fn a_file_has_the_name_and_the_period_that_it_is_made_with() {
        for (file, name, rearms, jiffies) in [
            (sample_file("skip", 1_250), "skip", Rearms::Yes, Some(1_250)),
            (sample_that_kills("kill"), "kill", Rearms::No, None),
        ] {
            let module = Module::parse(&file).unwrap();
            assert_eq!(module.name.as_deref(), Some(name));
            assert_eq!((module.rearms, module.period_jiffies), (rearms, jiffies));
        }
    }
}
