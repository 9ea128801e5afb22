//! A guest at hand: everything it needs fetched, built and described.

use std::env;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};

use super::console::Console;
use super::conversation::{Conversation, Ended, Feed, Listener};
use super::event::{Event, Stage};
use super::machine::{self, Lines, Machine, Start};
use super::snapshot::{Common, Wanted};
use super::traffic::{self, Talk};
use super::{LabSpec, build, disk, image, initrd};
use crate::emulator::Emulator;
use crate::kernel::{self, Kernel};
use crate::setup::{self, Need};
use crate::wire::{Fill, Kind, Run, Terminal};

/// What a command's streams are connected to.
pub struct Streams {
    /// Where standard input comes from; without one it is empty.
    pub input: Option<Box<dyn Read + Send>>,
    /// Where standard output and error go.
    pub output: [Box<dyn Write + Send>; 2],
    /// What the guest's ends are to be.
    pub kinds: [Kind; 3],
    /// The terminal to have there.
    pub terminal: Option<Terminal>,
}

/// Everything at hand for a guest that has not been started.
pub struct Session {
    spec: LabSpec,
    kernel: Kernel,
    command: Vec<String>,
    files: Vec<(PathBuf, String)>,
}

impl Session {
    /// Fetches and builds what the guest needs.
    pub fn prepare(spec: &LabSpec, command: Vec<String>, host: &mut dyn Listener) -> Result<Self> {
        spec.check()?;
        let mut needs = vec![Need::Qemu(Emulator::of(spec.deterministic)), Need::Userland];
        needs.extend(
            spec.own_kernel
                .is_none()
                .then_some(Need::Kernel(spec.kernel)),
        );
        needs.extend(spec.bpftrace.then_some(Need::Bpftrace));
        needs.extend(spec.systemd.then_some(Need::Systemd));
        setup::ensure(&needs)?;
        host.say("building ipvs-latency ...");
        let mut files: Vec<_> = build::product()?
            .into_iter()
            .map(|path| (path, "/usr/bin/ipvs-latency".to_owned()))
            .collect();
        for copy in &spec.copies {
            ensure!(
                copy.source.symlink_metadata().is_ok(),
                "there is no {} to copy",
                copy.source.display()
            );
            files.push((copy.source.clone(), destination(copy)?));
        }
        if let Some(image) = &spec.disk {
            disk::provide(image)?;
        }
        Ok(Self {
            kernel: match &spec.own_kernel {
                Some(own) => own.kernel()?,
                None => kernel::fetch(&spec.kernel)?,
            },
            spec: spec.clone(),
            command,
            files,
        })
    }

    /// Boots the guest, runs the command and comes back when all is over.
    ///
    /// `events` is where signals and changes of size come in.
    pub fn run(
        self,
        streams: Streams,
        events: (Sender<Event>, Receiver<Event>),
        host: &mut dyn Listener,
    ) -> Result<Ended> {
        host.say(&format!("booting {} ...", self.kernel.release));
        let fill = Fill {
            services: self.spec.services,
            destinations: self.spec.destinations,
            namespaces: self.spec.netns,
        };
        let Started {
            machine,
            lines,
            stage,
            snapshots,
        } = start(&self.spec, &self.kernel, fill)?;
        let (sender, receiver) = events;
        let run = self.describe(&streams);
        let talk = Talk::new(&lines.control)?;
        traffic::hear(lines.control, streams.output, talk.clone(), sender.clone());
        traffic::send_files(self.files, lines.files, sender.clone());
        let conversation = Conversation {
            machine,
            stage,
            snapshots,
            console: Console::read(lines.console),
            talk,
            feed: Some(Feed {
                input: streams.input,
                line: lines.stdin,
                events: sender,
            }),
            fill,
            run: Some(Box::new(run)),
            started: Instant::now(),
            time_limit: self.spec.timeout,
            shuts_down: self.spec.systemd,
        };
        conversation.hold(&receiver, host)
    }

    fn describe(&self, streams: &Streams) -> Run {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let environment = [
            "TERM",
            "COLORTERM",
            "NO_COLOR",
            "LANG",
            "LC_ALL",
            "LC_CTYPE",
        ];
        Run {
            command: self.command_for(streams.kinds[0]),
            environment: environment
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), env::var(name).ok()?)))
                .collect(),
            streams: streams.kinds,
            terminal: streams.terminal,
            disk: self.spec.disk.is_some(),
            systemd: self.spec.systemd,
            now: i64::try_from(now.as_secs()).unwrap_or(0),
        }
    }

    /// Without a command: a shell to type in, or one that reads its script from standard input.
    fn command_for(&self, input: Kind) -> Vec<String> {
        match input {
            _ if !self.command.is_empty() => self.command.clone(),
            Kind::Terminal => vec!["bash".into(), "-i".into()],
            Kind::Pipe => vec!["sh".into()],
        }
    }
}

/// A machine that runs, the stage it is about to enter, and the snapshots to make of it.
struct Started {
    machine: Machine,
    lines: Lines,
    stage: Stage,
    snapshots: Wanted,
}

/// Starts a machine from its furthest snapshot, or, without one that works, from the beginning.
fn start(spec: &LabSpec, kernel: &Kernel, fill: Fill) -> Result<Started> {
    let image = image::unpacked(kernel)?;
    let (parts, init) = (initrd::parts(spec, kernel)?, build::init()?);
    let cold = |snapshots| {
        let initrd = initrd::assemble(&parts, &init)?;
        let (machine, lines) = Machine::start(spec, &image, &Start::Cold(&initrd))?;
        Ok(Started {
            machine,
            lines,
            stage: Stage::Boot,
            snapshots,
        })
    };
    if spec.systemd {
        return cold(Wanted::none());
    }
    let common = Common {
        release: &kernel.release,
        qemu: &Emulator::of(spec.deterministic).program()?,
        arguments: &machine::machine_arguments(spec),
        disk: spec.disk.is_some(),
        parts: &parts,
        init: &init,
    };
    for stage in [Stage::Ready, Stage::Fill] {
        let mut wanted = Wanted::of(&common, fill)?;
        let Some(kept) = wanted.take(stage) else {
            continue;
        };
        let Some(state) = kept.open() else { continue };
        match Machine::start(spec, &image, &Start::Warm(&state)) {
            Ok((machine, lines)) => {
                return Ok(Started {
                    machine,
                    lines,
                    stage,
                    snapshots: wanted,
                });
            }
            // Whatever is wrong with it, a new one will be made.
            Err(_) => kept.discard(),
        }
    }
    cold(Wanted::of(&common, fill)?)
}

fn destination(copy: &super::Copy) -> Result<String> {
    let path = match (&copy.destination, copy.source.file_name()) {
        (Some(path), _) => path.clone(),
        (None, Some(name)) => PathBuf::from("/root").join(name),
        (None, None) => bail!(
            "{} has no name of its own: say where to copy it, as SRC:DST",
            copy.source.display()
        ),
    };
    path.into_os_string()
        .into_string()
        .ok()
        .context("a destination is not UTF-8")
}
