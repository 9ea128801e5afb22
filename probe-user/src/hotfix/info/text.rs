//! How it is written.

use std::io::{self, Write};

use super::{Info, InstalledAs, Loaded};
use crate::hotfix::page::{Facts, titled};

impl Info {
    pub(super) fn write(&self, json: bool, mut out: impl Write) -> io::Result<()> {
        if json {
            serde_json::to_writer_pretty(&mut out, self)?;
            return writeln!(out);
        }
        let mut paragraphs = Vec::new();
        paragraphs.extend(self.file.as_ref().map(Facts::lines));
        paragraphs.extend(self.installed.as_ref().map(InstalledAs::lines));
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
                writeln!(out, "{}", titled(title, value))?;
            }
        }
        Ok(())
    }
}

impl InstalledAs {
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
