//! `hotfix apply`: what it finds, what it leaves behind, and how it ends. What the node then does is told by the kernel's
//! own tracepoints.

mod alike;
mod beside;
mod cut_short;
mod hopping;
mod outliers;
mod record;
mod story;
mod strangers;
mod table;
mod terminal;

use serde_json::Value;
use xtask::lab::LabSpec;
use xtask::scenario::Sections;

use super::with_modules;

/// `apply NAME ARGS...` tries one: its document in section `NAME`, its exit code in `NAME code`, what it said in `NAME
/// err`, and how many seconds of guest time it took in `NAME seconds`. `runs_of NAME SECONDS` has the runs that the
/// tracepoints see in the seconds after.
const APPLY: &str = r#"
now() { cut -d' ' -f1 /proc/uptime; }
apply() {
    name=$1; shift; began=$(now)
    echo "== $name"; ipvs-latency hotfix apply --yes --json "$@" 2> /tmp/err; code=$?
    echo "== $name code"; echo $code
    echo "== $name err"; cat /tmp/err
    echo "== $name seconds"; echo "$began $(now)" | awk '{ print $2 - $1 }'; echo "== rest"
}
runs_of() { truth_clear; sleep $2; echo "== $1 runs"; truth_runs; echo "== rest"; }
"#;

/// 30,001 estimators in the root namespace.
fn big() -> LabSpec {
    with_modules(LabSpec {
        services: 10_000,
        destinations: 2,
        ..LabSpec::deterministic()
    })
}

/// What `apply` told.
struct Applied<'a> {
    name: String,
    document: Value,
    code: &'a str,
    said: &'a str,
    seconds: f64,
}

impl<'a> Applied<'a> {
    fn of(sections: &'a Sections, name: &str) -> Self {
        let text = |section: &str| sections.text(section).unwrap();
        let document = text(name);
        Self {
            name: name.to_owned(),
            document: serde_json::from_str(document)
                .unwrap_or_else(|error| panic!("{name}: {error}: {document}\n{}", sections.noise)),
            code: text(&format!("{name} code")).trim(),
            said: text(&format!("{name} err")),
            seconds: text(&format!("{name} seconds")).trim().parse().unwrap(),
        }
    }

    /// Holds what it told against what is expected: verdict, host and exit code.
    fn is(&self, verdict: &str, host: &str, code: &str) {
        let told = (
            self.document["verdict"].as_str().unwrap(),
            self.document["host"].as_str().unwrap(),
            self.code,
        );
        let Self { name, .. } = self;
        assert_eq!(told, (verdict, host, code), "{name}: {}", self.document);
    }

    fn state_after(&self, state: &str) {
        assert_eq!(
            self.document["state_after"], state,
            "{}: {}",
            self.name, self.document
        );
    }
}

/// The runs of the root namespace with 30,001 estimators that the tracepoints saw, by their durations, and those that
/// did not walk.
fn walked(sections: &Sections, name: &str) -> (usize, usize) {
    let runs = sections.truth(&format!("{name} runs")).unwrap();
    // A walk of the others' one estimator takes microseconds, and one of these milliseconds.
    let walked = runs.iter().filter(|run| run.lasted_ns > 1_000_000).count();
    (walked, runs.len() - walked)
}

/// Whether the big estimator ran whole at its own rhythm: 6.1 seconds hold three or four of its periods.
fn ticks(sections: &Sections, name: &str) -> bool {
    (3..=4).contains(&walked(sections, name).0)
}
