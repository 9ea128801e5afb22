//! What changes around the estimators while they are watched: CPUs, livepatches, other instances of this tool.

use std::{collections::BTreeMap, fs, path::Path};

use host::{
    livepatch::{self, Livepatch},
    prerequisites,
};
use model::Topic;

/// What was last read of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The CPUs online, as the kernel writes them: `0-3,6`.
    cpus: Option<String>,
    /// Livepatches by name, and how far each is.
    livepatches: BTreeMap<String, Progress>,
    /// Process ids of other instances.
    instances: Vec<u32>,
    /// No probe sees anything.
    kprobes_are_off: bool,
}

const KPROBES_OFF: &str = "kprobes were disabled on this host, so no run is recorded: enable them with `echo 1 > \
                           /sys/kernel/debug/kprobes/enabled`";
const KPROBES_ON: &str = "kprobes are enabled again";

/// How far a livepatch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Not enabled, as far as the kernel says, and never seen enabled. So it looks for a moment at the beginning of a
    /// load; the next look tells whether there is anything to it.
    Appeared,
    Enabling,
    Enabled,
    Disabling,
    Disabled,
    /// In a transition whose direction was not seen.
    InTransition,
    /// Not enabled, and never seen enabled.
    NotEnabled,
}

impl Progress {
    /// Returns the state after a look, given the state before it. When the kernel begins to enable a livepatch, it
    /// shows a transition, and not yet its direction.
    fn of(livepatch: &Livepatch, before: Option<Self>) -> Self {
        if livepatch.enabled.is_none() {
            // What cannot be seen is as it was.
            return before.unwrap_or(Self::Appeared);
        }
        let in_transition = livepatch.transition == Some(true);
        match (livepatch.enabled == Some(true), in_transition, before) {
            (true, true, _) => Self::Enabling,
            (true, false, _) => Self::Enabled,
            (false, _, None) => Self::Appeared,
            (false, true, Some(Self::Enabling | Self::Enabled | Self::Disabling)) => {
                Self::Disabling
            }
            (false, true, Some(_)) => Self::InTransition,
            (false, false, Some(Self::Appeared | Self::NotEnabled)) => Self::NotEnabled,
            (false, false, Some(_)) => Self::Disabled,
        }
    }

    /// Returns the same in words, where there is something to say.
    fn told(self) -> Option<&'static str> {
        Some(match self {
            Self::Appeared => return None,
            Self::Enabling => "is being put in force: tasks run the old and the new functions",
            Self::Enabled => "is in force",
            Self::Disabling => "is being taken back: tasks run the old and the new functions",
            Self::Disabled => "is no longer in force",
            Self::InTransition => "is in transition: tasks run the old and the new functions",
            Self::NotEnabled => "is loaded and not enabled",
        })
    }
}

impl Surroundings {
    /// Reads what is cheap to read every second. The other instances are as they were.
    #[must_use]
    pub fn read(root: &Path, before: &Self) -> Self {
        let cpus = fs::read_to_string(root.join("sys/devices/system/cpu/online")).ok();
        Self {
            cpus: cpus.map(|cpus| cpus.trim().to_owned()),
            livepatches: match livepatch::read(root) {
                Ok(livepatches) => livepatches
                    .unwrap_or_default()
                    .into_iter()
                    .map(|livepatch| {
                        let name = livepatch.name.to_string();
                        let known = before.livepatches.get(&name).copied();
                        let progress = Progress::of(&livepatch, known);
                        (name, progress)
                    })
                    .collect(),
                // What cannot be seen is not gone.
                Err(_) => before.livepatches.clone(),
            },
            instances: before.instances.clone(),
            kprobes_are_off: prerequisites::kprobes_are_off(root),
        }
    }

    /// Sets the other instances.
    pub fn set_instances(&mut self, instances: &[u32]) {
        self.instances = instances.to_vec();
    }

    /// What is different from `before`, in words.
    #[must_use]
    pub fn news(&self, before: &Self) -> Vec<(Topic, String)> {
        let mut news = Vec::new();
        if let (Some(now), Some(then)) = (&self.cpus, &before.cpus)
            && now != then
        {
            news.push((Topic::Cpus, format!("CPUs online: {now} (were {then})")));
        }
        match (before.kprobes_are_off, self.kprobes_are_off) {
            (false, true) => news.push((Topic::Kprobes, KPROBES_OFF.into())),
            (true, false) => news.push((Topic::Kprobes, KPROBES_ON.into())),
            _ => {}
        }
        for (name, progress) in &self.livepatches {
            if before.livepatches.get(name) != Some(progress)
                && let Some(told) = progress.told()
            {
                news.push((Topic::Livepatch, format!("livepatch {name} {told}")));
            }
        }
        for (name, progress) in &before.livepatches {
            if !self.livepatches.contains_key(name) && progress.told().is_some() {
                news.push((Topic::Livepatch, format!("livepatch {name} is gone")));
            }
        }
        let began = self
            .instances
            .iter()
            .filter(|pid| !before.instances.contains(pid));
        let ended = before
            .instances
            .iter()
            .filter(|pid| !self.instances.contains(pid));
        news.extend(began.map(|pid| {
            (
                Topic::Instance,
                format!("another ipvs-latency watches too: pid {pid}"),
            )
        }));
        news.extend(ended.map(|pid| {
            (
                Topic::Instance,
                format!("the other ipvs-latency has ended: pid {pid}"),
            )
        }));
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(cpus: &str, livepatches: &[(&str, &str, &str)]) -> Surroundings {
        next(&Surroundings::default(), cpus, livepatches)
    }

    /// Returns what the next look finds.
    fn next(before: &Surroundings, cpus: &str, livepatches: &[(&str, &str, &str)]) -> Surroundings {
        let root = tempfile::tempdir().unwrap();
        let write = |file: String, text: &str| {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("sys/devices/system/cpu/online".into(), cpus);
        write("sys/kernel/mm/ksm/run".into(), "0");
        for (name, enabled, transition) in livepatches {
            write(format!("sys/kernel/livepatch/{name}/enabled"), enabled);
            write(
                format!("sys/kernel/livepatch/{name}/transition"),
                transition,
            );
        }
        Surroundings::read(root.path(), before)
    }

    #[test]
    fn a_livepatch_that_cannot_be_read_for_a_moment_is_as_it_was() {
        assert_eq!(
            told_of(&["1 0", "? 0", "1 0"]),
            told_of(&["1 0", "1 0", "1 0"])
        );
    }

    /// Returns the notices about a livepatch that successive looks find in these states; "" means that it is not there.
    fn told_of(looks: &[&str]) -> Vec<String> {
        let mut before = host("0", &[]);
        let mut told = Vec::new();
        for look in looks {
            let there = look.split_once(' ');
            let patches: Vec<_> = there
                .map(|(enabled, transition)| ("fix", enabled, transition))
                .into_iter()
                .collect();
            let now = next(&before, "0", &patches);
            told.extend(texts(&now, &before));
            before = now;
        }
        let about = "livepatch: livepatch fix ";
        let told = told.iter().map(|text| text.strip_prefix(about).unwrap());
        told.map(|text| text.split(':').next().unwrap().to_owned())
            .collect()
    }

    fn texts(now: &Surroundings, before: &Surroundings) -> Vec<String> {
        let news = now.news(before).into_iter();
        news.map(|(topic, text)| format!("{topic}: {text}"))
            .collect()
    }

    #[test]
    fn kprobes_that_go_off_and_on_are_news() {
        let with = |kprobes_are_off| Surroundings {
            kprobes_are_off,
            ..Surroundings::default()
        };
        let off = texts(&with(true), &with(false));
        assert!(
            off[0].starts_with("kprobes: kprobes were disabled"),
            "{off:?}"
        );
        let on = texts(&with(false), &with(true));
        assert_eq!(on, ["kprobes: kprobes are enabled again"]);
        assert!(texts(&with(true), &with(true)).is_empty());
    }

    #[test]
    fn nothing_is_news_while_nothing_changes() {
        let same = || host("0-3\n", &[("fix", "1\n", "0\n")]);
        assert!(texts(&same(), &same()).is_empty());
    }

    #[test]
    fn every_step_of_a_livepatch_is_news() {
        let steps = ["1 1", "1 1", "1 0", "0 1", "0 1", ""];
        assert_eq!(
            told_of(&steps),
            [
                "is being put in force",
                "is in force",
                "is being taken back",
                "is gone",
            ]
        );
    }

    /// Until the kernel has enabled it, it says `enabled` 0 of a livepatch in transition.
    #[test]
    fn a_livepatch_that_is_being_loaded_is_never_told_as_being_taken_back() {
        for begins in ["0 0", "0 1"] {
            assert_eq!(
                told_of(&[begins, "1 1", "1 0"]),
                ["is being put in force", "is in force"]
            );
            assert_eq!(told_of(&[begins, ""]), [""; 0], "it was never enabled");
        }
        assert_eq!(
            told_of(&["0 1", "0 1", "0 1", "1 0"]),
            ["is in transition", "is in force"],
            "a kernel that takes its time"
        );
        assert_eq!(
            told_of(&["1 1", "0 1", "1 1", "1 0", "0 1", "0 0", ""]),
            [
                "is being put in force",
                "is being taken back",
                "is being put in force",
                "is in force",
                "is being taken back",
                "is no longer in force",
                "is gone"
            ]
        );
        assert_eq!(
            told_of(&["0 0", "0 0", "0 0", "1 1"]),
            ["is loaded and not enabled", "is being put in force"]
        );
    }

    #[test]
    fn cpus_and_instances_are_told_as_they_come_and_go() {
        let before = host("0-3\n", &[]);
        let mut now = host("0-2\n", &[]);
        now.set_instances(&[42]);
        assert_eq!(
            texts(&now, &before),
            [
                "cpus: CPUs online: 0-2 (were 0-3)",
                "instance: another ipvs-latency watches too: pid 42",
            ]
        );
        assert_eq!(
            texts(&before, &now)[1],
            "instance: the other ipvs-latency has ended: pid 42"
        );
    }
}
