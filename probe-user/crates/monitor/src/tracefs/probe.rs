//! A probe of tracefs, defined in the group of this process and enabled in one instance.

use std::{
    io,
    path::{Path, PathBuf},
};

use host::tracefs::{self, Format};

use super::instance::{Instance, define};

/// A probe, for as long as this exists.
#[derive(Debug)]
pub struct Probe {
    tracefs: PathBuf,
    instance: PathBuf,
    event: String,
    format: Format,
}

impl Probe {
    /// Defines a probe at the beginning of a function of `ip_vs`, with what it fetches, and enables it; it records what fits the
    /// filter, if there is one.
    ///
    /// # Errors
    ///
    /// When the kernel refuses it.
    pub fn enable(
        instance: &Instance,
        name: &str,
        function: &str,
        fetch: &str,
        filter: Option<&str>,
    ) -> io::Result<Self> {
        let event = format!("{}/{name}", instance.group());
        let tracefs = instance.tracefs();
        define(tracefs, &format!("p:{event} ip_vs:{function} {fetch}"))?;
        let format = tracefs::format(tracefs, &event);
        let probe = Self {
            tracefs: tracefs.to_owned(),
            instance: instance.file("events").join(&event),
            format: format.inspect_err(|_| remove(tracefs, &event))?,
            event,
        };
        if let Some(filter) = filter {
            write(&probe.instance.join("filter"), filter)?;
        }
        write(&probe.instance.join("enable"), "1")?;
        Ok(probe)
    }

    /// Returns where its records have what.
    #[must_use]
    pub fn format(&self) -> &Format {
        &self.format
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Err(error) = write(&self.instance.join("enable"), "0") {
            log::debug!("probe {}: {error}", self.event);
        }
        remove(&self.tracefs, &self.event);
    }
}

fn remove(tracefs: &Path, event: &str) {
    define(tracefs, &format!("-:{event}"))
        .unwrap_or_else(|error| log::debug!("probe {event}: {error}"));
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    std::fs::write(file, text).map_err(|error| super::instance::in_file(file, &error))
}
