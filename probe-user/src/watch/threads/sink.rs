//! Writes the output about threads to standard output, in one of the forms.

use std::io::{self, StdoutLock, Write as _};

use super::{
    json,
    period::ThreadPeriod,
    text::{self, ThreadLines},
};
use crate::{
    cli::{ColorWhen, WatchArgs},
    watch::{
        beginning::Beginning,
        json::{Names, start},
        sink::colour,
    },
};
use host::{estimation::Kind, netns_owners::NetnsOwners};
use model::threads::ThreadOutput;

/// The form that was asked for, and the stream.
pub struct ThreadSink {
    form: Form,
    intervals: bool,
    out: io::BufWriter<StdoutLock<'static>>,
}

enum Form {
    Json { names: Names },
    Text(ThreadLines),
}

impl ThreadSink {
    /// Returns the form that `args` ask for.
    pub fn new(args: &WatchArgs, color: ColorWhen, root_netns: u32) -> Self {
        let form = if args.json {
            Form::Json {
                names: Names::new(),
            }
        } else {
            Form::Text(ThreadLines {
                colour: colour(color),
                root_netns,
            })
        };
        Self {
            form,
            intervals: args.json || args.interval.is_some(),
            out: io::BufWriter::new(io::stdout().lock()),
        }
    }

    /// Tells that the probes are in place.
    pub fn start(&mut self, beginning: &Beginning) -> io::Result<()> {
        match self.form {
            Form::Json { .. } => start(&mut self.out, beginning, Kind::Kthread)?,
            Form::Text(_) => text::header(&mut self.out)?,
        }
        self.out.flush()
    }

    /// Returns whether records name who lives where.
    pub fn wants_names(&self) -> bool {
        matches!(self.form, Form::Json { .. })
    }

    /// Takes who lives where.
    pub fn name(&mut self, owners: &NetnsOwners) {
        if let Form::Json { names } = &mut self.form {
            *names = owners.all_named();
        }
    }

    /// Writes what happened.
    pub fn outputs(&mut self, outputs: &[ThreadOutput]) -> io::Result<()> {
        for output in outputs {
            match &self.form {
                Form::Json { names } => json::output(&mut self.out, output, names)?,
                Form::Text(lines) => lines.output(&mut self.out, output)?,
            }
        }
        self.out.flush()
    }

    /// Returns whether intervals are summed up.
    pub fn wants_intervals(&self) -> bool {
        self.intervals
    }

    /// Writes the sums of an interval.
    pub fn interval(&mut self, period: &ThreadPeriod) -> io::Result<()> {
        match &self.form {
            Form::Json { names } => json::interval(&mut self.out, period, names)?,
            Form::Text(_) => text::interval(&mut self.out, &period.sums)?,
        }
        self.out.flush()
    }

    /// Writes the sums of the session.
    pub fn summary(&mut self, period: &ThreadPeriod) -> io::Result<()> {
        match &self.form {
            Form::Json { names } => json::summary(&mut self.out, period, names)?,
            Form::Text(lines) => lines.summary(&mut self.out, period)?,
        }
        self.out.flush()
    }
}
