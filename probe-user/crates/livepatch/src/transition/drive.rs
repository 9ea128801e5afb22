//! A change of this node, step by step: what is asked of the kernel, looked at, told, and taken back.

use std::{collections::BTreeSet, io, time::Duration};

use nix::errno::Errno;

mod heir;
mod through;

use super::{
    kernel_log::KernelLog,
    reason::{self, Messages},
    run_observer::{Ran, RunObserver},
    stalled::Stalled,
};
use crate::{
    ports::Call,
    site::Site,
    step::StepKind,
    transaction::{guard::Guard, lock::Place},
};
use host::{
    livepatch::{self, Livepatch},
    module,
};
use livepatch_image::Name;

/// How often the kernel is looked at.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// And how often once it takes long.
const BETWEEN_LATE_LOOKS: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_mins(2);

/// As long as a node is up.
const FOR_EVER: Duration = Duration::from_hours(10 * 365 * 24);

/// How a transition ended.
#[derive(Debug)]
pub enum Ended {
    /// Every task is where it was to go.
    Arrived,
    /// It was turned back, and every task is where it came from.
    BackAgain,
    /// Neither; the processes named still wait for the kernel's answer.
    Stuck(Vec<u32>),
    /// The kernel refused to begin.
    Refused(Errno),
}

/// A call into the kernel that was not answered when it was last looked at.
struct Request {
    kind: StepKind,
    call: Box<dyn Call>,
}

/// One change of the livepatch `name`.
pub struct Drive {
    /// The node that is changed.
    pub site: Site,
    /// The module's name.
    pub name: Name,
    /// How long each wait may take.
    pub timeout: Duration,
    /// The kernel's log since the beginning.
    pub log: KernelLog,
    /// The probes, once runs of the estimator are waited for.
    pub observer: Option<RunObserver>,
    /// Network namespaces whose estimator was dead before the change: nobody waits for these.
    pub dead_before: BTreeSet<u32>,
    /// Livepatches whose place the hotfix takes, or may take: their names in the form for people.
    pub may_replace: BTreeSet<String>,
    /// A person or program waits for it, reads what it says, and may ask it to end.
    is_attended: bool,
    /// The guard, to which every call into the kernel holds a pipe; `None` in the guard itself.
    guarded: Option<Guard>,
    /// The last message about a guard that is lost.
    said_of_guard: String,
    /// Where the lock is; `None` without one, and once it is said that it is lost.
    lock: Option<Place>,
    began: Duration,
    requests: Vec<Request>,
    messages: Option<Messages>,
    told: String,
    /// The tasks that kept the transition when it was turned back; `None` where this did not turn it back.
    kept_by: Option<Vec<Stalled>>,
}

impl Drive {
    /// Heeds signals from here on: they ask to turn back, and a stop by Ctrl-Z does not keep the node half way. Nothing
    /// is to be changed before it is guarded.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a handler.
    pub fn new(site: &Site, name: impl Into<Name>, timeout: Duration) -> io::Result<Self> {
        site.progress().listen()?;
        Ok(Self {
            timeout,
            is_attended: true,
            ..Self::unattended(site, name)
        })
    }

    /// From here on a guard finishes what this cannot.
    ///
    /// # Errors
    ///
    /// When the guard has ended, and no other can be started.
    pub fn guarded_by(&mut self, guard: &Guard) -> io::Result<()> {
        self.guarded = Some(guard.clone());
        self.heir().map(|_| ()).map_err(io::Error::other)
    }

    /// For the guard: nobody waits for it, so it waits for whatever the kernel waits for.
    pub fn unattended(site: &Site, name: impl Into<Name>) -> Self {
        Self {
            log: KernelLog::from_now(site.kernel()),
            site: site.clone(),
            name: name.into(),
            timeout: FOR_EVER,
            observer: None,
            dead_before: BTreeSet::new(),
            may_replace: BTreeSet::new(),
            is_attended: false,
            guarded: None,
            said_of_guard: String::new(),
            lock: None,
            began: site.now(),
            requests: Vec::new(),
            messages: None,
            told: String::new(),
            kept_by: None,
        }
    }

    /// Returns whether a key or a signal asked to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.is_attended && self.site.progress().is_stopped()
    }

    /// Returns what the kernel says of the livepatch now; `None` where it has none of that name.
    ///
    /// # Errors
    ///
    /// When that is unknown.
    pub fn patch(&self) -> io::Result<Option<Livepatch>> {
        livepatch::look(&self.site.root, &self.name)
    }

    /// Looks for the module.
    ///
    /// # Errors
    ///
    /// When that is unknown.
    pub fn is_loaded(&self) -> io::Result<bool> {
        Ok(module::look(&self.site.root, &self.name)?.is_some())
    }

    /// Asks the kernel for one thing.
    ///
    /// # Errors
    ///
    /// When no process can be made for it.
    pub fn ask(&mut self, kind: StepKind, module: &[u8]) -> io::Result<()> {
        let lifeline = self.guarded.as_ref().map(Guard::lifeline).transpose()?;
        let kernel = self.site.kernel();
        let call = kernel.begin(kind, &self.name, module, lifeline)?;
        self.requests.push(Request { kind, call });
        Ok(())
    }

    /// Lets a moment pass, and reads what there is to read.
    ///
    /// # Errors
    ///
    /// When the probes cannot be read.
    pub fn pause(&mut self) -> anyhow::Result<()> {
        let took = self.site.now().saturating_sub(self.began);
        let wait = if took < LONG || self.observer.is_some() {
            BETWEEN_LOOKS
        } else {
            BETWEEN_LATE_LOOKS
        };
        self.site.progress().wait(wait);
        self.log.read();
        self.look_at_guard(false);
        self.look_at_lock();
        match &mut self.observer {
            Some(observer) => observer.look(&self.site),
            None => Ok(()),
        }
    }

    /// From here on it is said where the lock keeps no other process away any more.
    pub fn locked_by(&mut self, place: Option<Place>) {
        self.lock = place;
    }

    fn look_at_lock(&mut self) {
        if let Some(lost) = self.lock.take_if(|place| place.is_lost()) {
            self.site.say(&format!(
                "warning: the lock {} was removed or replaced, so it keeps other commands away no longer: run no other `ipvs-latency \
                 hotfix` command until this one ends",
                lost.path().display()
            ));
        }
    }

    /// The errno of a request that the kernel refused since the last call, after forgetting all that were answered.
    ///
    /// # Errors
    ///
    /// When a process ended without an answer.
    pub fn refusal(&mut self) -> io::Result<Option<(StepKind, Errno)>> {
        let mut refused = None;
        let mut open = Vec::new();
        for mut request in self.requests.drain(..) {
            match request.call.answer()? {
                None => open.push(request),
                Some(Ok(())) => {}
                Some(Err(errno)) => refused = Some((request.kind, errno)),
            }
        }
        self.requests = open;
        Ok(refused)
    }

    /// Whether the kernel has not answered a request.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        !self.requests.is_empty()
    }

    /// Returns the processes that wait for the kernel's answer: looked at now, for one may have ended since.
    fn still_asking(&mut self) -> Vec<u32> {
        let open = self.requests.iter_mut().filter_map(|request| {
            let is_open = matches!(request.call.answer(), Ok(None));
            is_open.then(|| request.call.pid())
        });
        open.collect()
    }

    /// Each estimator that is waited for, and whether it ran since; nothing without probes.
    #[must_use]
    pub fn ran_since(&self, since_ns: u64) -> Option<Vec<(u32, Ran)>> {
        let mut estimators = self.observer.as_ref()?.since(since_ns);
        estimators.retain(|(netns, _)| !self.dead_before.contains(netns));
        Some(estimators)
    }

    /// Livepatches that were in force before, and are no more since the hotfix took their place.
    ///
    /// # Errors
    ///
    /// When that is unknown.
    pub fn replaced(&self) -> io::Result<Vec<String>> {
        if self.may_replace.is_empty() {
            return Ok(Vec::new());
        }
        let no_livepatching = || io::Error::from(io::ErrorKind::NotFound);
        let patches = livepatch::read(&self.site.root)?.ok_or_else(no_livepatching)?;
        let enabled = patches.iter().filter(|one| one.enabled != Some(false));
        let enabled: BTreeSet<String> = enabled.map(|one| one.name.to_string()).collect();
        Ok(self.may_replace.difference(&enabled).cloned().collect())
    }

    /// What the kernel wrote to its log meanwhile, but for the messages that were switched on by us.
    pub fn kernel_lines(&mut self) -> Vec<String> {
        self.log.read();
        let lines = self.log.lines().iter();
        lines
            .filter(|line| !reason::is_ours(line))
            .cloned()
            .collect()
    }

    /// Tells what the kernel wrote to its log meanwhile.
    pub fn say_log(&mut self) {
        let lines = self.kernel_lines();
        for line in &lines {
            self.site.say(&format!("kernel: {line}"));
        }
        match self.log.trouble() {
            Some(trouble) => self.site.say(&format!("kernel: {trouble}")),
            None if lines.is_empty() => self.site.say("kernel: (it wrote nothing to its log)"),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_node::MadeNode;

    #[test]
    fn the_guard_waits_as_long_as_a_node_is_up_and_heeds_no_signal() {
        let node = MadeNode::new();
        node.stop();
        let guards = Drive::unattended(&node.site(), "made");
        assert!(guards.timeout >= Duration::from_hours(24) * 3_650);
        assert!(!guards.is_stopped());
        let ours = Drive::new(&node.site(), "made", BETWEEN_LOOKS).unwrap();
        assert_eq!((ours.timeout, ours.is_stopped()), (BETWEEN_LOOKS, true));
    }

    #[test]
    fn what_the_kernel_wrote_is_told_or_that_it_wrote_nothing_or_that_it_cannot_be_read() {
        let told = |before: fn(&MadeNode), meanwhile: fn(&MadeNode)| {
            let node = MadeNode::new();
            before(&node);
            let mut drive = Drive::unattended(&node.site(), "made");
            meanwhile(&node);
            drive.say_log();
            node.world().said()
        };
        let writes = |node: &MadeNode| node.world().log_line("one line");
        let hides = |node: &MadeNode| node.world().hide_log();
        assert_eq!(told(|_| {}, writes), "kernel: one line");
        let nothing = "kernel: (it wrote nothing to its log)";
        assert_eq!(told(writes, |_| {}), nothing);
        let hidden = "kernel: (/dev/kmsg cannot be read: permission denied)";
        assert_eq!(told(hides, writes), hidden);
    }
}
