//! What changes around the estimators while they are watched: CPUs, livepatches, other instances of this tool.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{
    kernel::livepatch::{self, Livepatch},
    model::Topic,
};

/// What was last read of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The CPUs online, as the kernel writes them: `0-3,6`.
    cpus: Option<String>,
    /// Livepatches by name, and how far each is.
    livepatches: BTreeMap<String, &'static str>,
    /// Process ids of other instances.
    instances: Vec<u32>,
}

/// How far a livepatch is, in words.
fn progress(livepatch: &Livepatch) -> &'static str {
    match (
        livepatch.enabled == Some(true),
        livepatch.transition == Some(true),
    ) {
        (true, true) => "is being put in force: tasks run the old and the new functions",
        (true, false) => "is in force",
        (false, true) => "is being taken back: tasks run the old and the new functions",
        (false, false) => "is no longer in force",
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
                    .map(|livepatch| (livepatch.name.to_string(), progress(&livepatch)))
                    .collect(),
                // What cannot be seen is not gone.
                Err(_) => before.livepatches.clone(),
            },
            instances: before.instances.clone(),
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
        for (name, progress) in &self.livepatches {
            if before.livepatches.get(name) != Some(progress) {
                let text = format!("livepatch {name} {progress}");
                news.push((Topic::Livepatch, text));
            }
        }
        for name in before.livepatches.keys() {
            if !self.livepatches.contains_key(name) {
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
        let root = tempfile::tempdir().unwrap();
        let write = |file: String, text: &str| {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("sys/devices/system/cpu/online".into(), cpus);
        for (name, enabled, transition) in livepatches {
            write(format!("sys/kernel/livepatch/{name}/enabled"), enabled);
            write(
                format!("sys/kernel/livepatch/{name}/transition"),
                transition,
            );
        }
        Surroundings::read(root.path(), &Surroundings::default())
    }

    fn texts(now: &Surroundings, before: &Surroundings) -> Vec<String> {
        let news = now.news(before).into_iter();
        news.map(|(topic, text)| format!("{topic}: {text}"))
            .collect()
    }

    #[test]
    fn nothing_is_news_while_nothing_changes() {
        let same = || host("0-3\n", &[("fix", "1\n", "0\n")]);
        assert!(texts(&same(), &same()).is_empty());
    }

    #[test]
    fn every_step_of_a_livepatch_is_news() {
        let steps = [
            host("0", &[]),
            host("0", &[("fix", "1", "1")]),
            host("0", &[("fix", "1", "0")]),
            host("0", &[("fix", "0", "1")]),
            host("0", &[]),
        ];
        let told: Vec<_> = steps
            .windows(2)
            .flat_map(|pair| texts(&pair[1], &pair[0]))
            .collect();
        assert_eq!(
            told,
            [
                "livepatch: livepatch fix is being put in force: tasks run the old and the new functions",
                "livepatch: livepatch fix is in force",
                "livepatch: livepatch fix is being taken back: tasks run the old and the new functions",
                "livepatch: livepatch fix is gone",
            ]
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
