//! The probes come and go with `ip_vs`.

use std::path::Path;

use anyhow::bail;

use super::Watcher;
use crate::{mechanism::Mechanism, source::Source};
use host::{
    module::{self, HeldLoading},
    time,
};
use model::{Output, Topic};

/// The probes, while there is something to probe.
pub(super) enum Attachment {
    Attached {
        probe: Box<Source>,
        to: HeldLoading,
    },
    /// Waiting for `ip_vs`, or for it to become measurable: why the probes could not be attached.
    Waiting(Option<String>),
}

impl Watcher {
    /// Takes the last records of probes whose functions are gone, and lets go of them.
    pub(super) fn detach(&mut self) -> anyhow::Result<Vec<Output>> {
        if let Attachment::Attached { probe, .. } = &mut self.attachment {
            self.sample.take_last(probe)?;
        }
        let mut outputs = self.hand_on()?;
        let now_ns = time::monotonic_ns()?;
        outputs.extend(self.session.detached(now_ns));
        let text = "ip_vs was unloaded, and the probes went with it: waiting for it to come back";
        outputs.push(self.session.notice(now_ns, Topic::IpVs, text.into()));
        self.attachment = Attachment::Waiting(None);
        self.counted_alike = false;
        Ok(outputs)
    }

    /// Attaches the probes if `ip_vs` is loaded and it is time to try.
    pub(super) fn wait(&mut self) -> anyhow::Result<Vec<Output>> {
        if !module::is_loaded(&self.root, &"ip_vs".into()) {
            self.attachment = Attachment::Waiting(None);
            return Ok(Vec::new());
        }
        // To be refused costs as much as to be attached: not every second.
        let is_refused = matches!(self.attachment, Attachment::Waiting(Some(_)));
        if is_refused && !self.is_check() {
            return Ok(Vec::new());
        }
        self.attach_again()
    }

    fn attach_again(&mut self) -> anyhow::Result<Vec<Output>> {
        let attached = attach(&self.root, Some(self.chosen.mechanism));
        let now_ns = time::monotonic_ns()?;
        let (probe, to) = match attached {
            Ok(attached) => attached,
            Err(error) => return Ok(self.still_waiting(now_ns, format!("{error:#}"))),
        };
        self.attachment = Attachment::Attached {
            probe: Box::new(probe),
            to,
        };
        self.session.attached_again();
        let text = "ip_vs is loaded, and the probes are in place".into();
        let mut outputs = vec![self.session.notice(now_ns, Topic::IpVs, text)];
        outputs.extend(self.read()?);
        Ok(outputs)
    }

    /// Tells why the probes could not be attached, once a reason.
    fn still_waiting(&mut self, now_ns: u64, reason: String) -> Vec<Output> {
        let text = format!("ip_vs is loaded and cannot be measured yet: {reason}");
        let is_known =
            matches!(&self.attachment, Attachment::Waiting(Some(before)) if *before == reason);
        self.attachment = Attachment::Waiting(Some(reason));
        if is_known {
            return Vec::new();
        }
        vec![self.session.notice(now_ns, Topic::IpVs, text)]
    }
}

/// Puts the probes on the `ip_vs` that is loaded now.
pub(super) fn attach(root: &Path, via: Option<Mechanism>) -> anyhow::Result<(Source, HeldLoading)> {
    // Before the probes: should it be loaded again meanwhile, they are attached once more.
    let loading = HeldLoading::of(root, &"ip_vs".into());
    let probe = Source::start(root, via)?;
    match loading? {
        Some(loading) => Ok((probe, loading)),
        None => bail!("ip_vs was just being loaded: try again"),
    }
}
