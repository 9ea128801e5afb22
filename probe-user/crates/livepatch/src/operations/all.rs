//! `hotfix load --all` and `hotfix unload --all`: one livepatch after the other, each as if it were alone.

use std::{path::Path, time::Duration};

use anyhow::{anyhow, bail};

use super::{
    load::{self, Asked},
    unload,
};
use crate::{
    preflight::node::CrashHistory,
    site::Site,
    store::installed::{Installed, Record, Store},
    transaction::{
        journal::{Journal, Phase},
        livepatches::{self, ListedLivepatch},
        loaded,
        outcome::Outcome,
        report::Report,
        settle,
        undo::{self, Undo},
    },
};
use host::{boot::Boot, prerequisites};
use livepatch_image::{Module, Name};

const CRASHED: &str = "crashed-here-before";

/// Refuses once a signal has come: it ends the one hotfix that it finds, and those after it.
fn go_on(site: &Site) -> anyhow::Result<()> {
    if site.progress().is_stopped() {
        bail!("a signal asked to end before its turn came");
    }
    Ok(())
}

/// What became of one of several livepatches.
pub enum Each {
    /// Its turn came.
    Ended(Report),
    /// It was not meant.
    LeftAlone {
        /// Its name.
        name: Name,
        /// Why it was not meant.
        why: &'static str,
    },
}

/// Loads what is installed for this kernel, in the order of installation; `ended` gets each report at once.
///
/// Returns what is said if there was none.
///
/// # Errors
///
/// When what is installed cannot be read: nothing was changed.
pub fn load(
    timeout: Duration,
    site: &Site,
    ended: &mut impl FnMut(Each),
) -> anyhow::Result<String> {
    let store = Store::of(&site.state_dir);
    let release = prerequisites::release(&site.root);
    site.progress().listen()?;
    for installed in store.all()? {
        if installed.place.release == release {
            ended(Each::Ended(load_one(timeout, &store, &installed, site)));
        }
    }
    Ok(format!("no hotfix is installed for Linux {release}"))
}

fn load_one(timeout: Duration, store: &Store, installed: &Installed, site: &Site) -> Report {
    let name = &installed.place.name;
    let refused = |error: anyhow::Error| {
        Report::of("load", name).ended(Err(error.context(format!("{name} is not loaded"))))
    };
    let record = match &installed.record {
        Ok(record) => record,
        Err(error) => return refused(anyhow!("{error}")),
    };
    if let Err(error) = go_on(site) {
        return refused(error);
    }
    let bytes = match store.content(&installed.place) {
        Ok(bytes) => bytes,
        Err(error) => return refused(error.into()),
    };
    if let Some(done) = in_force_already(name, record, &bytes, site) {
        let mut report = Report::of("load", name).ended(Ok(done));
        report.file = Some(store.module(&installed.place).display().to_string());
        report.sha256 = Some(record.sha256.clone());
        let undo = undo::unload(&name.as_str().into(), site);
        report.undo = Some(Undo::Command(undo));
        return report;
    }
    let accept = still_accepted(record, &CrashHistory::read(site, &record.sha256));
    let asked = Asked {
        file: &store.module(&installed.place),
        kept: Some((bytes, &record.sha256)),
        accept: &accept,
        timeout,
    };
    load::one(asked, site)
}

/// The end of a load that has nothing to do.
fn in_force_already(name: &str, record: &Record, bytes: &[u8], site: &Site) -> Option<Outcome> {
    let entry = livepatches::entries(&site.root)
        .ok()?
        .into_iter()
        .find(|one| one.name == *name)?;
    if !entry.is_in_force() {
        return None;
    }
    let module = Module::parse(bytes).ok()?;
    let name = &Name::from(name);
    let is_same = loaded::is_of(site, name, Some(&module), Some(&record.sha256));
    if is_same != Some(true) {
        // A load is then refused, with the reason.
        return None;
    }
    // The same build may have been loaded from another file.
    let entry = loaded::entry(site, name).ok().flatten();
    let file = entry.map_or_else(|| record.sha256.clone(), |entry| entry.sha256);
    settle::note_proven(site, &file);
    Some(Outcome::Done(format!(
        "{name} is in force already, from the file that is installed"
    )))
}

/// The warnings that are accepted still: of crashes, the one that was known at the time.
fn still_accepted(record: &Record, past: &CrashHistory) -> Vec<String> {
    let is_known = match past {
        CrashHistory::WentDown(entry) => record.accepted_crash.as_ref() == Some(&entry.boot_id),
        CrashHistory::Good | CrashHistory::Unknown(_) => true,
    };
    let accepted = record.accepted.iter();
    accepted
        .filter(|warning| is_known || *warning != CRASHED)
        .cloned()
        .collect()
}

/// Unloads the livepatches that replace functions of `ip_vs`, and those that we loaded; `ended` gets each report at once.
///
/// Returns what is said if none was meant.
///
/// # Errors
///
/// When this kernel has no livepatching: nothing was changed.
pub fn unload(
    timeout: Duration,
    site: &Site,
    ended: &mut impl FnMut(Each),
) -> anyhow::Result<String> {
    site.progress().listen()?;
    let ours = match Journal::read(&site.state_dir) {
        Ok(journal) => loaded_by_us(&site.root, &journal, &Boot::read(&site.root)),
        Err(error) => {
            site.say(&format!(
                "warning: {error}; which livepatches were loaded by ipvs-latency cannot be told"
            ));
            Vec::new()
        }
    };
    for entry in livepatches::entries(&site.root)? {
        let is_ours = ours.iter().any(|name| entry.name == *name);
        ended(if is_of_ip_vs(&entry) || is_ours {
            Each::Ended(unload_one(&entry.name, timeout, site))
        } else {
            Each::LeftAlone {
                name: entry.name,
                why: "it replaces no function of ip_vs, and was not loaded by ipvs-latency",
            }
        });
    }
    let none =
        "no livepatch is loaded that replaces a function of ip_vs, or that ipvs-latency loaded";
    Ok(none.to_owned())
}

fn unload_one(name: &Name, timeout: Duration, site: &Site) -> Report {
    match go_on(site) {
        Ok(()) => unload::one(name, timeout, site),
        Err(error) => {
            let error = error.context(format!("{name} is not unloaded"));
            Report::of("unload", &name.to_string()).ended(Err(error))
        }
    }
}

/// Returns the names under which what we loaded is there still, also where the journal could not be brought up to date.
fn loaded_by_us(root: &Path, journal: &Journal, boot: &Boot) -> Vec<String> {
    let entries = journal.entries().iter();
    entries
        .filter(|entry| entry.boot_id == boot.id && entry.phase != Phase::Gone)
        .filter(|entry| !matches!(settle::phase(root, entry), Ok(Phase::Gone)))
        .map(|entry| entry.name.clone())
        .collect()
}

fn is_of_ip_vs(entry: &ListedLivepatch) -> bool {
    entry.objects.iter().any(|object| object.name == "ip_vs")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        made_node::{MadeNode, RELEASE},
        store::installed::Place,
        transaction::journal::Mark,
    };
    use livepatch_image::{Digest, samples::sample_file};

    fn installed(node: &MadeNode, name: &str) -> Installed {
        let content = sample_file(name, 500);
        let record = Record::now(Digest::of(&content), "/a.ko".into(), Vec::new(), None);
        let place = Place {
            release: RELEASE.into(),
            name: name.into(),
        };
        let store = Store::of(&node.state_dir());
        store.put(&place, &content, &record).unwrap();
        Installed {
            place,
            record: Ok(record),
        }
    }

    #[test]
    fn one_that_is_in_force_is_done_and_the_end_of_a_shutdown_that_was_none_is_noted() {
        let node = MadeNode::new();
        let one = installed(&node, "one_");
        let record = one.record.as_ref().unwrap();
        let bytes = Store::of(&node.state_dir()).content(&one.place).unwrap();
        let already = || {
            let ended = in_force_already("one_", record, &bytes, &node.site());
            ended.map(|ending| ending.text().to_owned())
        };
        assert_eq!(already(), None);
        node.put_in_force("one_", "ip_vs");
        assert_eq!(already(), None, "neither journal nor build-id tells");
        let content = sample_file("one_", 500);
        node.note("one_", &content, "this", Phase::ShutDown);
        assert!(
            already()
                .unwrap()
                .ends_with("from the file that is installed")
        );
        let entry = loaded::entry(&node.site(), &"one_".into()).unwrap();
        assert_eq!(entry.unwrap().phase, Phase::InForce);
        node.note("one_", b"another", "this", Phase::InForce);
        assert_eq!(already(), None);
        node.note("one_", &content, "this", Phase::InForce);
        node.write("sys/kernel/livepatch/one_/transition", "1");
        assert_eq!(already(), None);
    }

    #[test]
    fn a_crash_is_accepted_once() {
        let node = MadeNode::new();
        let content = b"content";
        let record = |crash: Option<&str>| {
            let accepted = vec!["no-rearm".to_owned(), CRASHED.to_owned()];
            let crash = crash.map(str::to_owned);
            Record::now(Digest::of(content), "/a.ko".into(), accepted, crash)
        };
        let past = || CrashHistory::read(&node.site(), &Digest::of(content));
        assert_eq!(still_accepted(&record(None), &past()).len(), 2);
        node.note("a", content, "before", Phase::InForce);
        assert_eq!(still_accepted(&record(Some("before")), &past()).len(), 2);
        for crash in [None, Some("another")] {
            assert_eq!(still_accepted(&record(crash), &past()), ["no-rearm"]);
        }
    }

    #[test]
    fn what_was_changed_since_or_is_damaged_is_refused_and_keeps_nobody_else_waiting() {
        let node = MadeNode::new();
        let (changed, damaged) = (installed(&node, "one_"), installed(&node, "two_"));
        let folder = format!("var/lib/state/hotfixes/{RELEASE}");
        node.write(&format!("{folder}/one_.ko"), sample_file("one_", 250));
        node.write(&format!("{folder}/two_.json"), "{");
        let second = Duration::from_secs(1);
        let mut codes = Vec::new();
        let said = load(second, &node.site(), &mut |each| match each {
            Each::Ended(report) => codes.push(report.code()),
            Each::LeftAlone { name, .. } => panic!("{name} is left alone"),
        });
        assert_eq!(codes, [2, 2]);
        assert!(said.unwrap().contains(RELEASE));
        let store = Store::of(&node.state_dir());
        let again = store.all().unwrap().into_iter();
        let again: Vec<Installed> = again.filter(|one| one.record.is_err()).collect();
        let refused = |one: &Installed| load_one(second, &store, one, &node.site()).text();
        assert!(refused(&changed).contains("another file than was installed"));
        assert!(refused(&again[0]).contains("is damaged"));
        node.stop();
        assert!(refused(&damaged).contains("a signal asked to end"));
    }

    #[test]
    fn livepatches_of_ip_vs_and_our_own_are_meant_and_no_others() {
        let node = MadeNode::new();
        for (name, object) in [("a", "ip_vs"), ("b", "vmlinux"), ("c", "nf_nat")] {
            node.put_in_force(name, object);
        }
        for (name, boot_id, phase) in [
            ("b", "this", Phase::InForce),
            ("c", "last", Phase::InForce),
            ("d", "this", Phase::Gone),
        ] {
            node.note(name, name.as_bytes(), boot_id, phase);
        }
        let journal = Journal::read(&node.state_dir()).unwrap();
        let ours = || loaded_by_us(node.root(), &journal, &Boot::read(node.root()));
        assert_eq!(ours(), ["b"]);
        let entries = livepatches::entries(node.root()).unwrap();
        let of_ip_vs: Vec<bool> = entries.iter().map(is_of_ip_vs).collect();
        assert_eq!(of_ip_vs, [true, false, false]);
        // Another one has the name now, and the journal was not brought up to date.
        let mut journal = Journal::read(&node.state_dir()).unwrap();
        let mut entry = journal.entry_of(&Digest::of(b"b")).unwrap().clone();
        entry.module = Mark::of(Some(b"\x01"));
        journal.note(entry).unwrap();
        node.write("sys/module/b/notes/.note.gnu.build-id", b"\x02");
        let ours = loaded_by_us(node.root(), &journal, &Boot::read(node.root()));
        assert_eq!(ours, [""; 0]);
    }

    #[test]
    fn those_of_ip_vs_are_unloaded_until_a_signal_comes_and_a_stranger_is_left_alone() {
        let unloaded = |node: &MadeNode| {
            let mut said = Vec::new();
            let none = unload(Duration::from_secs(15), &node.site(), &mut |each| {
                said.push(match each {
                    Each::Ended(report) => format!("{} {}", report.code(), report.text()),
                    Each::LeftAlone { name, why } => format!("{name}: {why}"),
                });
            });
            (said, none.unwrap())
        };
        let node = MadeNode::new();
        for (name, object) in [("a", "ip_vs"), ("b", "nf_nat"), ("c", "vmlinux")] {
            node.world().enable(name, object);
        }
        node.note("c", b"ours", "this", Phase::InForce);
        let (said, _) = unloaded(&node);
        assert!(said[0].starts_with("0 a is gone"), "{said:?}");
        assert!(
            said[1].starts_with("b: it replaces no function"),
            "{said:?}"
        );
        assert!(said[2].starts_with("0 c is gone"), "{said:?}");
        assert_eq!(said.len(), 3);
        let (said, why) = unloaded(&node);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(why.starts_with("no livepatch is loaded"));
        node.world().enable("a", "ip_vs");
        node.stop();
        let (said, _) = unloaded(&node);
        assert!(said[0].contains("a signal asked to end"), "{said:?}");
        assert!(node.world().is_loaded("a"));
    }
}
