//! `hotfix info`: all that is known of one hotfix, by its file, as it was installed, and as it is loaded.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::{
    digest::Digest,
    file,
    installed::{Installed, Place, Record, Store, is_path, name_of},
    journal::{self, Phase},
    list::{self, Entry},
    loaded,
    module::Module,
    node::Node,
    page::Facts,
};
use crate::{
    cli::InfoArgs,
    kernel::{livepatch::Object, prerequisites},
};

/// The document of `info --json`.
#[derive(Debug, Default, Serialize)]
struct Info {
    schema: u32,
    name: Option<String>,
    /// What the file says; of an installed one, that of the installed file.
    file: Option<Facts>,
    /// `None` where it is not installed.
    installed: Option<Kept>,
    /// `None` where it is not loaded.
    loaded: Option<Loaded>,
    /// Why something above is `None` that should not be.
    unknown: Vec<String>,
}

/// How it was installed.
#[derive(Debug, Serialize)]
struct Kept {
    release: String,
    for_this_kernel: bool,
    in_force: bool,
    sha256: Digest,
    accepted: Vec<String>,
    from: String,
    at: String,
}

/// What the kernel says of it.
#[derive(Debug, Serialize)]
struct Loaded {
    state: &'static str,
    objects: Vec<Object>,
    taint: Option<String>,
    refcount: Option<i64>,
    /// `None` where that was not by us, as far as the journal knows.
    #[serde(rename = "loaded_by")]
    by: Option<LoadedBy>,
}

/// How it was loaded, by the journal.
#[derive(Debug, Serialize)]
struct LoadedBy {
    file: String,
    sha256: Digest,
    pid: u32,
    phase: Phase,
    since: String,
}

impl LoadedBy {
    fn of(entry: journal::Entry) -> Self {
        Self {
            since: entry.since(),
            file: entry.file,
            sha256: entry.sha256,
            pid: entry.pid,
            phase: entry.phase,
        }
    }
}

/// Tells what is known of a hotfix.
///
/// # Errors
///
/// When there is none of that name or in that file, or what was found cannot be written.
pub fn run(args: &InfoArgs, root: &Path, state_dir: &Path) -> anyhow::Result<ExitCode> {
    let file = Path::new(&args.hotfix);
    let named = if is_path(&args.hotfix) {
        None
    } else {
        of_name(&name_of(&args.hotfix.to_string_lossy()), root, state_dir)?
    };
    let info = match named {
        Some(info) => info,
        None if is_path(&args.hotfix) || file.exists() => of_file(file, root, state_dir)?,
        None => bail!(
            "no hotfix {} is installed or loaded: `ipvs-latency hotfix list` names those that are; a file is named with \
             its ending, .ko",
            file.display()
        ),
    };
    let out = io::stdout().lock();
    info.write(args.json, out)
        .context("what was found cannot be written")?;
    Ok(ExitCode::SUCCESS)
}

fn of_file(file: &Path, root: &Path, state_dir: &Path) -> anyhow::Result<Info> {
    let facts = facts(file, root, state_dir)?;
    Ok(Info {
        schema: 1,
        name: facts.name().map(str::to_owned),
        file: Some(facts),
        ..Info::default()
    })
}

fn facts(path: &Path, root: &Path, state_dir: &Path) -> anyhow::Result<Facts> {
    let shown = path.display();
    let bytes = file::read(path).map_err(|error| anyhow::anyhow!("{shown} {error}"))?;
    let module = Module::parse(&bytes).map_err(|error| anyhow::anyhow!("{shown} {error}"))?;
    let sha256 = Digest::of(&bytes);
    let node = Node::read(root, state_dir, &module, &sha256);
    Ok(Facts::new(shown.to_string(), sha256, module, &node))
}

/// `None` where it is neither installed nor loaded.
fn of_name(name: &str, root: &Path, state_dir: &Path) -> anyhow::Result<Option<Info>> {
    let mut unknown = Vec::new();
    let release = prerequisites::release(root);
    let store = Store::of(state_dir);
    let mut all = store.all()?;
    all.retain(|one| one.place.name == name);
    // That of this kernel, or else the last.
    all.sort_by_key(|one| one.place.release == release);
    let entries = list::entries(root).unwrap_or_default();
    let entry = entries.into_iter().find(|entry| entry.name == name);
    let installed = all.pop();
    if installed.is_none() && entry.is_none() {
        return Ok(None);
    }
    let mut file = None;
    let mut kept = None;
    if let Some(Installed { place, record }) = installed {
        let is_loaded = place.release == release && entry.as_ref().is_some_and(Entry::is_in_force);
        match record {
            Ok(record) => {
                let in_force = is_loaded
                    && list::is_what_is_loaded(root, state_dir, &store, &place, Some(&record));
                kept = Some(Kept::of(&place, record, place.release == release, in_force));
            }
            Err(error) => unknown.push(error.to_string()),
        }
        file = facts(&store.module(&place), root, state_dir)
            .map_err(|error| unknown.push(format!("{error:#}")))
            .ok();
    }
    let loaded = entry.map(|entry| Loaded::of(entry, root, state_dir, &mut unknown));
    Ok(Some(Info {
        schema: 1,
        name: Some(name.to_owned()),
        file,
        installed: kept,
        loaded,
        unknown,
    }))
}

impl Kept {
    fn of(place: &Place, record: Record, for_this_kernel: bool, in_force: bool) -> Self {
        Self {
            release: place.release.clone(),
            for_this_kernel,
            in_force,
            sha256: record.sha256,
            accepted: record.accepted,
            from: record.file,
            at: record.at,
        }
    }
}

impl Loaded {
    fn of(entry: Entry, root: &Path, state_dir: &Path, unknown: &mut Vec<String>) -> Self {
        let module = root.join("sys/module").join(&entry.name);
        let text = |file: &str| fs::read_to_string(module.join(file)).ok();
        let by = loaded::entry(root, state_dir, &entry.name).unwrap_or_else(|error| {
            unknown.push(format!("who loaded it cannot be told: {error}"));
            None
        });
        Self {
            state: entry.state,
            objects: entry.objects,
            taint: text("taint").map(|taint| taint.trim().to_owned()),
            refcount: text("refcnt").and_then(|count| count.trim().parse().ok()),
            by: by.map(LoadedBy::of),
        }
    }
}

impl Info {
    fn write(&self, json: bool, mut out: impl Write) -> io::Result<()> {
        if json {
            serde_json::to_writer_pretty(&mut out, self)?;
            return writeln!(out);
        }
        let mut paragraphs = Vec::new();
        paragraphs.extend(self.file.as_ref().map(Facts::lines));
        paragraphs.extend(self.installed.as_ref().map(Kept::lines));
        paragraphs.extend(self.loaded.as_ref().map(|one| one.lines(self)));
        paragraphs.extend((!self.unknown.is_empty()).then(|| {
            let unknown = self.unknown.iter();
            unknown.map(|why| ("unknown", why.clone())).collect()
        }));
        for (index, lines) in paragraphs.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            for (title, value) in lines {
                writeln!(out, "{title:<20}{value}")?;
            }
        }
        Ok(())
    }
}

impl Kept {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let accepted = match self.accepted.as_slice() {
            [] => "nothing".to_owned(),
            names => names.join(", "),
        };
        let this = if self.for_this_kernel {
            "this kernel"
        } else {
            "another kernel than this"
        };
        vec![
            ("installed for", format!("Linux {}: {this}", self.release)),
            ("installed at", self.at.clone()),
            ("from", self.from.clone()),
            ("accepted", accepted),
        ]
    }
}

impl Loaded {
    fn lines(&self, info: &Info) -> Vec<(&'static str, String)> {
        let unknown = || "unknown".to_owned();
        let replaced = self.objects.iter().flat_map(|object| {
            let functions = object.functions.iter();
            functions.map(move |function| format!("{function} of {}", object.name))
        });
        let replaced: Vec<String> = replaced.collect();
        let replaced = if replaced.is_empty() {
            "nothing any more".into()
        } else {
            replaced.join(", ")
        };
        let by = match &self.by {
            Some(by) => format!(
                "ipvs-latency (process {}), from {}; so since {}",
                by.pid, by.file, by.since
            ),
            None if info.unknown.is_empty() => "somebody else, as far as the journal knows".into(),
            None => unknown(),
        };
        let mut lines = vec![
            ("state", self.state.to_owned()),
            ("redirects", replaced),
            ("taint", self.taint.clone().unwrap_or_else(unknown)),
            (
                "references",
                self.refcount
                    .map_or_else(unknown, |count| count.to_string()),
            ),
            ("loaded by", by),
        ];
        if info.file.is_none() {
            lines.insert(0, ("name", info.name.clone().unwrap_or_else(unknown)));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::hotfix::{
        made_node::{MadeNode, RELEASE},
        module::tests::sample_file,
    };

    fn told(info: &Info) -> (Value, String) {
        let written = |json| {
            let mut out = Vec::new();
            info.write(json, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        (
            serde_json::from_str(&written(true)).unwrap(),
            written(false),
        )
    }

    #[test]
    fn a_file_is_told_by_itself_and_what_is_no_module_is_refused() {
        let node = MadeNode::new();
        let file = node.module("one_", 500);
        let info = of_file(&file, node.root(), &node.state_dir()).unwrap();
        let (document, text) = told(&info);
        assert_eq!(document["name"], "one_");
        assert_eq!(document["file"]["replaces"][0]["object"], "ip_vs");
        assert_eq!(
            (&document["installed"], &document["loaded"]),
            (&Value::Null, &Value::Null)
        );
        assert!(
            text.starts_with("name                one_\nsha256 "),
            "{text}"
        );
        assert!(of_file(&node.file("text", b"text"), node.root(), &node.state_dir()).is_err());
    }

    #[test]
    fn a_name_is_told_by_its_file_its_installation_and_the_kernel() {
        let node = MadeNode::new();
        let of = |name: &str| of_name(name, node.root(), &node.state_dir()).unwrap();
        assert!(of("one_").is_none());
        let content = sample_file("one_", 500);
        let accepted = vec!["no-rearm".to_owned()];
        let record = Record::now(Digest::of(&content), "/from.ko".into(), accepted, None);
        let store = Store::of(&node.state_dir());
        for release in [RELEASE, "7.0"] {
            let place = Place {
                release: release.into(),
                name: "one_".into(),
            };
            store.put(&place, &content, &record).unwrap();
        }
        let (document, text) = told(&of("one_").unwrap());
        assert_eq!(document["installed"]["release"], RELEASE);
        assert_eq!(document["installed"]["accepted"], json!(["no-rearm"]));
        assert_eq!(document["installed"]["in_force"], false);
        assert_eq!(document["file"]["sha256"], document["installed"]["sha256"]);
        assert!(text.contains("accepted            no-rearm\n"), "{text}");
        node.put_in_force("one_", "ip_vs");
        node.note("one_", &content, "this", Phase::InForce);
        let (document, text) = told(&of("one_").unwrap());
        assert_eq!(document["installed"]["in_force"], true);
        let loaded = &document["loaded"];
        assert_eq!(
            (&loaded["taint"], &loaded["refcount"]),
            (&json!("OEK"), &json!(1))
        );
        assert_eq!(loaded["loaded_by"]["pid"], 7);
        assert_eq!(loaded["loaded_by"]["phase"], "in-force");
        assert!(
            text.contains("loaded by           ipvs-latency (process 7), from /root/one_.ko"),
            "{text}"
        );
    }

    #[test]
    fn what_somebody_else_loaded_and_what_cannot_be_read_is_told() {
        let node = MadeNode::new();
        node.put_in_force("them", "nf_nat");
        let told_of = |name: &str| {
            told(
                &of_name(name, node.root(), &node.state_dir())
                    .unwrap()
                    .unwrap(),
            )
        };
        let (document, text) = told_of("them");
        assert_eq!(
            (&document["file"], &document["loaded"]["loaded_by"]),
            (&Value::Null, &Value::Null)
        );
        assert!(
            text.starts_with("name                them\nstate               in force\n"),
            "{text}"
        );
        assert!(
            text.contains("estimation_timer of nf_nat") && text.contains("somebody else"),
            "{text}"
        );
        node.write("var/lib/state/journal.json", "{");
        node.write(&format!("var/lib/state/hotfixes/{RELEASE}/them.json"), "{");
        let (document, text) = told_of("them");
        assert_eq!(
            document["unknown"].as_array().unwrap().len(),
            3,
            "{document}"
        );
        assert!(text.contains("loaded by           unknown\n"), "{text}");
    }
}
