//! What replaces the estimator's function: a look with three answers.

use std::io;

use host::livepatch::Livepatch;
use livepatch_image::Name;
use model::ESTIMATOR;

/// What replaces the estimator's function on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaced {
    /// The livepatch of that name, which is enabled.
    By(Name),
    /// No livepatch.
    ByNone,
    /// The livepatches, or one of them, cannot be seen.
    Unknown,
}

impl Replaced {
    /// Decides by the livepatches that were found.
    pub fn of(livepatches: &io::Result<Option<Vec<Livepatch>>>) -> Self {
        let Ok(patches) = livepatches else {
            return Self::Unknown;
        };
        let patches = || patches.iter().flatten();
        let mut enabled = patches().filter(|patch| patch.enabled == Some(true));
        if let Some(patch) = enabled.find(|patch| patch.replaces_in("ip_vs", ESTIMATOR)) {
            return Self::By(patch.name.clone());
        }
        if patches().any(|patch| patch.enabled.is_none()) {
            return Self::Unknown;
        }
        Self::ByNone
    }

    /// Returns the name of the livepatch, if one is known.
    pub fn name(&self) -> Option<&Name> {
        match self {
            Self::By(name) => Some(name),
            Self::ByNone | Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::livepatch::Object;

    fn patch(enabled: Option<bool>, function: &str) -> Livepatch {
        Livepatch {
            name: "fix".into(),
            enabled,
            transition: Some(false),
            objects: vec![Object {
                name: "ip_vs".into(),
                patched: Some(true),
                functions: vec![function.into()],
            }],
        }
    }

    #[test]
    fn only_an_enabled_livepatch_of_that_function_replaces_it_and_unseen_is_not_none() {
        for (patches, expected) in [
            (vec![], Replaced::ByNone),
            (
                vec![patch(Some(true), ESTIMATOR)],
                Replaced::By("fix".into()),
            ),
            (vec![patch(Some(false), ESTIMATOR)], Replaced::ByNone),
            (vec![patch(Some(true), "ip_vs_in")], Replaced::ByNone),
            (vec![patch(None, ESTIMATOR)], Replaced::Unknown),
        ] {
            assert_eq!(Replaced::of(&Ok(Some(patches))), expected);
        }
        assert_eq!(Replaced::of(&Ok(None)), Replaced::ByNone, "no livepatching");
        let hidden = Err(io::Error::other("hidden"));
        assert_eq!(Replaced::of(&hidden), Replaced::Unknown);
    }
}
