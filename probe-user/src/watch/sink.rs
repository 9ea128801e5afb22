//! Where outputs go: standard output, in one of the forms.

use std::io::{self, IsTerminal as _, StdoutLock, Write as _};

use super::{
    beginning::Beginning,
    json::{self, Names},
    marks::Colour,
    text,
};
use crate::cli::{ColorWhen, WatchArgs};
use host::{estimation::Kind, netns_owners::NetnsOwners};
use model::{Output, Report, State, Topic, Worst};

/// The form that was asked for, and the stream.
pub struct Sink {
    form: Form,
    intervals: bool,
    out: io::BufWriter<StdoutLock<'static>>,
}

enum Form {
    Json { names: Names },
    Text(text::Lines),
}

impl Sink {
    /// The form that `args` ask for.
    pub fn new(args: &WatchArgs, color: ColorWhen, root_netns: u32) -> Self {
        Self {
            form: if args.json {
                Form::Json {
                    names: Names::new(),
                }
            } else {
                Form::Text(text::Lines {
                    colour: colour(color),
                    root_netns,
                })
            },
            intervals: args.json || args.interval.is_some(),
            out: io::BufWriter::new(io::stdout().lock()),
        }
    }

    /// Tells that the probes are in place.
    pub fn start(&mut self, start: &Beginning) -> io::Result<()> {
        match self.form {
            Form::Json { .. } => json::start(&mut self.out, start, Kind::Timer)?,
            Form::Text(_) => text::header(&mut self.out)?,
        }
        self.out.flush()
    }

    /// Returns whether records name who lives where.
    pub fn wants_names(&self) -> bool {
        matches!(self.form, Form::Json { .. })
    }

    /// Takes in who lives where.
    pub fn name(&mut self, owners: &NetnsOwners) {
        if let Form::Json { names } = &mut self.form {
            *names = owners.all_named();
        }
    }

    pub fn outputs(&mut self, outputs: &[Output]) -> io::Result<()> {
        // Where ip_vs went, the namespaces are still there.
        let is_of_ip_vs =
            |output: &Output| matches!(output, Output::Notice(one) if one.topic == Topic::IpVs);
        let ip_vs_went = outputs.iter().any(is_of_ip_vs);
        for output in outputs {
            match &mut self.form {
                Form::Json { names } => {
                    json::output(&mut self.out, output, names)?;
                    // The kernel gives the number to another namespace.
                    if let Output::StateChange(change) = output
                        && change.to == State::Absent
                        && !ip_vs_went
                    {
                        names.remove(&change.netns);
                    }
                }
                Form::Text(lines) => lines.output(&mut self.out, output)?,
            }
        }
        self.out.flush()
    }

    /// The sums of an interval, where they are wanted.
    pub fn interval(&mut self, report: &Report) -> io::Result<()> {
        if !self.intervals {
            return Ok(());
        }
        match &self.form {
            Form::Json { names } => json::interval(&mut self.out, report, names)?,
            Form::Text(_) => text::interval(&mut self.out, report)?,
        }
        self.out.flush()
    }

    /// Writes the sums of the session, and in records the worst stall in it.
    pub fn summary(&mut self, report: &Report, worst: Option<Worst>) -> io::Result<()> {
        match &self.form {
            Form::Json { names } => json::summary(&mut self.out, report, worst, names)?,
            Form::Text(lines) => lines.summary(&mut self.out, report)?,
        }
        self.out.flush()
    }
}

/// Returns whether marks are coloured on standard output.
pub fn colour(color: ColorWhen) -> Colour {
    Colour(match color {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto => io::stdout().is_terminal() && colours_welcome(),
    })
}

/// `NO_COLOR` as <https://no-color.org> has it, and a terminal that knows colours.
fn colours_welcome() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
