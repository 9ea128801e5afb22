//! What the records come from: the best of the mechanisms that this node allows.

use std::{fmt::Write as _, path::Path};

use host::{
    prerequisites::{self, Refusal},
    time,
};
use probe_ebpf::{Event, Snapshot, snapshot::WalkLists};
use thiserror::Error;

use crate::{
    mechanism::{Chosen, Mechanism, Unavailable},
    probe::{Probe, ProbeError},
    tracefs,
    tracer::{TraceError, Tracer, through::Through},
};

/// A mechanism in place. Dropping it takes it away.
pub struct Source {
    in_place: InPlace,
    chosen: Chosen,
    started_ns: u64,
}

enum InPlace {
    Probe(Box<Probe>),
    Tracer(Box<Tracer>),
}

/// Why no mechanism could be put in place.
#[derive(Debug, Error)]
pub enum SourceError {
    /// There is no timer to measure, or this process may not measure at all.
    #[error(transparent)]
    Refused(Refusal),
    /// Each mechanism that was tried was refused: why, the best first.
    #[error("{}", without(.0))]
    NoMechanism(Vec<Unavailable>),
}

/// Says why none is available, in one sentence: the best is what people look for first.
fn without(unavailable: &[Unavailable]) -> String {
    let mut text = String::new();
    for (index, Unavailable { mechanism, why }) in unavailable.iter().enumerate() {
        let begin = if index == 0 {
            "cannot measure the estimators by"
        } else {
            "; nor by"
        };
        let _ = write!(text, "{begin} {mechanism}: {why}");
    }
    text
}

impl Source {
    /// Puts the best mechanism in place that this node allows, or the one that is asked for.
    ///
    /// # Errors
    ///
    /// When there is nothing to measure, or no mechanism is allowed.
    pub fn start(root: &Path, via: Option<Mechanism>) -> Result<Self, SourceError> {
        tracefs::remove_stale(root);
        let tried = via.map_or(Mechanism::ALL.to_vec(), |via| vec![via]);
        let mut unavailable = Vec::new();
        for mechanism in tried {
            match open(root, mechanism) {
                Ok((in_place, started_ns)) => {
                    let chosen = Chosen {
                        mechanism,
                        unavailable,
                    };
                    return Ok(Self {
                        in_place,
                        chosen,
                        started_ns,
                    });
                }
                Err(Refused::ForAll(refusal)) => return Err(SourceError::Refused(refusal)),
                Err(Refused::Here(why)) => unavailable.push(Unavailable { mechanism, why }),
            }
        }
        Err(SourceError::NoMechanism(unavailable))
    }

    /// Returns the mechanism, and why it is no better one.
    pub fn chosen(&self) -> &Chosen {
        &self.chosen
    }

    /// Returns from when on every run is seen, in nanoseconds of `CLOCK_MONOTONIC`.
    pub fn started_ns(&self) -> u64 {
        self.started_ns
    }

    /// Looks at every namespace's estimator. Runs that it counts as over are handed over by the next [`Self::drain`].
    ///
    /// # Errors
    ///
    /// When the kernel does not let the mechanism look.
    pub fn snapshot(&mut self, lists: WalkLists) -> anyhow::Result<Vec<Snapshot>> {
        Ok(match &mut self.in_place {
            InPlace::Probe(probe) => probe.snapshot(lists)?,
            InPlace::Tracer(tracer) => tracer.snapshot(lists)?,
        })
    }

    /// Takes in what was recorded up to now, where no snapshot follows.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn look_last(&mut self) -> anyhow::Result<()> {
        match &mut self.in_place {
            // All of it is taken when it is handed over.
            InPlace::Probe(_) => {}
            InPlace::Tracer(tracer) => drop(tracer.look()?),
        }
        Ok(())
    }

    /// Returns until when every run that was over is among what is handed over next, in nanoseconds of `CLOCK_MONOTONIC`.
    ///
    /// # Errors
    ///
    /// When the clock cannot be read.
    pub fn read_ns(&self) -> nix::Result<u64> {
        match &self.in_place {
            // A run that ends from here on may have no record there.
            InPlace::Probe(_) => time::monotonic_ns(),
            InPlace::Tracer(tracer) => Ok(tracer.looked_ns()),
        }
    }

    /// Hands over what was recorded since the last call.
    pub fn drain(&mut self, into: impl FnMut(Event)) {
        match &mut self.in_place {
            InPlace::Probe(probe) => probe.drain(into),
            InPlace::Tracer(tracer) => tracer.drain(into),
        }
    }

    /// Returns the runs that have no record, by slot of the histogram.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub fn histogram(&self) -> anyhow::Result<Vec<u64>> {
        Ok(match &self.in_place {
            InPlace::Probe(probe) => probe.histogram()?,
            InPlace::Tracer(_) => Tracer::histogram(),
        })
    }
}

/// Why a mechanism was refused.
enum Refused {
    /// No other mechanism is allowed or has anything to measure either.
    ForAll(Refusal),
    /// This one is.
    Here(String),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        if refusal.is_of_ebpf() {
            Self::Here(refusal.to_string())
        } else {
            Self::ForAll(refusal)
        }
    }
}

impl From<ProbeError> for Refused {
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::Refused(refusal) => refusal.into(),
            error => Self::Here(error.to_string()),
        }
    }
}

impl From<TraceError> for Refused {
    fn from(error: TraceError) -> Self {
        match error {
            TraceError::Refused(refusal) => refusal.into(),
            error => Self::Here(error.to_string()),
        }
    }
}

fn open(root: &Path, mechanism: Mechanism) -> Result<(InPlace, u64), Refused> {
    match mechanism {
        Mechanism::Bpf => {
            let ready = prerequisites::survey(root).map_err(worst)?;
            let probe = Probe::start(&ready, log::log_enabled!(log::Level::Debug))?;
            let started_ns =
                time::monotonic_ns().map_err(|error| Refused::Here(error.to_string()))?;
            Ok((InPlace::Probe(Box::new(probe)), started_ns))
        }
        Mechanism::Perf | Mechanism::Tracefs => {
            let through = if mechanism == Mechanism::Perf {
                Through::Perf
            } else {
                Through::Tracefs
            };
            let tracer = Tracer::start(root, through)?;
            let started_ns = tracer.started_ns();
            Ok((InPlace::Tracer(Box::new(tracer)), started_ns))
        }
    }
}

/// Of all that is missing for eBPF, the first that no other mechanism can do without either; else the first.
fn worst(mut missing: Vec<Refusal>) -> Refused {
    let of_all = missing.iter().position(|one| !one.is_of_ebpf());
    missing.swap_remove(of_all.unwrap_or(0)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_measures_each_reason_is_said() {
        let why = |mechanism, why: &str| Unavailable {
            mechanism,
            why: why.into(),
        };
        let error = SourceError::NoMechanism(vec![
            why(Mechanism::Bpf, "this kernel carries no BTF"),
            why(Mechanism::Perf, "no tracefs is in sight"),
        ]);
        assert_eq!(
            error.to_string(),
            "cannot measure the estimators by bpf: this kernel carries no BTF; nor by perf: no tracefs is in sight"
        );
    }

    #[test]
    fn what_no_mechanism_can_do_without_is_said_before_what_ebpf_lacks() {
        let (no_btf, no_ip_vs) = (Refusal::NoBtf("5.4".into()), Refusal::NoIpvs("5.4".into()));
        let of_all = worst(vec![no_btf, no_ip_vs]);
        assert!(matches!(of_all, Refused::ForAll(Refusal::NoIpvs(_))));
        let of_ebpf = worst(vec![Refusal::KprobesOff, Refusal::Lockdown]);
        assert!(matches!(of_ebpf, Refused::Here(why) if why.contains("kprobes are switched off")));
    }
}
