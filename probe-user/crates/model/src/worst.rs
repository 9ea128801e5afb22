//! The worst that packets wait for: what the first line of every report says.

use super::{Blackout, NamespaceView, Overview, State};

/// Runs from which on their median stands for what a run takes. Fewer may be outliers, all of them.
const RUNS_TO_TRUST: usize = 3;

/// Which runs count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Those of the last seconds.
    Latest,
    /// All that were seen.
    All,
}

/// The worst stall of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worst {
    /// Inode number of the network namespace. Under a blackout of many runs, that of the longest of them.
    pub netns: u32,
    /// Length of its `est_list`.
    pub estimators: Option<u32>,
    /// What a run takes typically, in nanoseconds: the median of the latest runs.
    pub typical_ns: u64,
    /// The longest run, in nanoseconds.
    pub duration_ns: u64,
    /// The CPU that the longest run, or the blackout, was on.
    pub cpu: u32,
    /// The longest blackout that this namespace had the longest run of.
    pub blackout: Option<Blackout>,
    /// Time between two runs, in nanoseconds.
    pub period_ns: Option<u64>,
}

impl Worst {
    /// Returns how long packets waited at most, in nanoseconds: a blackout holds its runs.
    #[must_use]
    pub fn stall_ns(&self) -> u64 {
        let blackout_ns = self.blackout.map_or(0, |blackout| blackout.duration_ns);
        self.duration_ns.max(blackout_ns)
    }

    /// Returns the share of the time of its CPU that the runs of the namespace take, typically: from 0 to 1. `None`
    /// while the period is not known.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share needs no 53 bits")]
    pub fn share(&self) -> Option<f64> {
        let period_ns = self.period_ns.filter(|period_ns| *period_ns > 0)?;
        Some(self.typical_ns as f64 / period_ns as f64)
    }
}

/// One namespace's claim to be the worst.
struct Claim<'a> {
    view: &'a NamespaceView,
    typical_ns: u64,
}

impl Overview {
    /// Returns the worst stall of the node: of the namespace whose runs cost most typically, so that one outlier of an
    /// idle namespace does not hide the busy one. Where only a blackout elsewhere is over `max_ns`, of one outlier or of
    /// many short runs, that is the worst, whatever is known of its namespace. `None` before the first run.
    #[must_use]
    pub fn worst(&self, span: Span, max_ns: u64) -> Option<Worst> {
        let claims = self.namespaces.iter().filter_map(|view| self.claim(view));
        let costliest = claims.max_by_key(|claim| (claim.rate(), claim.view.netns));
        let typical = costliest.map(|claim| self.worst_of(claim.view, span));
        let is_stall = |worst: &Worst| worst.stall_ns() > max_ns;
        let is_calm = !typical.as_ref().is_some_and(is_stall);
        let outlier = is_calm.then(|| self.outlier(span)).flatten();
        outlier.filter(is_stall).or(typical)
    }

    fn claim<'a>(&self, view: &'a NamespaceView) -> Option<Claim<'a>> {
        if view.state == Some(State::Absent) {
            return None;
        }
        let median_ns = view.latest.typical_ns()?;
        Some(Claim {
            view,
            typical_ns: self.trusted(view, median_ns),
        })
    }

    /// Of a few runs, no more is believed than twice what the length of the list makes likely.
    fn trusted(&self, view: &NamespaceView, median_ns: u64) -> u64 {
        let likely = || {
            let estimators = u64::from(view.estimators?);
            Some(self.cost?.projected_ns(estimators).saturating_mul(2))
        };
        if view.latest.runs() >= RUNS_TO_TRUST {
            return median_ns;
        }
        likely().map_or(median_ns, |likely_ns| median_ns.min(likely_ns))
    }

    fn worst_of(&self, view: &NamespaceView, span: Span) -> Worst {
        let blackout = self.longest_blackout(span);
        let blackout = blackout.filter(|blackout| blackout.netns == view.netns);
        let (duration_ns, cpu) = match span {
            Span::All => (view.max_ns, view.max_cpu),
            Span::Latest => (view.latest.max_ns(), view.latest.cpu()),
        };
        Worst {
            netns: view.netns,
            estimators: view.estimators,
            typical_ns: view.latest.typical_ns().unwrap_or(0),
            duration_ns: duration_ns.unwrap_or(0),
            cpu: blackout.map_or(cpu.unwrap_or(0), |blackout| blackout.cpu),
            blackout,
            period_ns: view.period_ns,
        }
    }

    /// The longest blackout: every run is in one. Of its namespace nothing may be known, as of one that is gone.
    fn outlier(&self, span: Span) -> Option<Worst> {
        let blackout = self.longest_blackout(span)?;
        let unknown = || Worst {
            netns: blackout.netns,
            estimators: blackout.estimators,
            typical_ns: blackout.longest_ns,
            duration_ns: blackout.longest_ns,
            cpu: blackout.cpu,
            blackout: Some(blackout),
            period_ns: None,
        };
        let view = self.view(blackout.netns);
        Some(view.map_or_else(unknown, |view| self.worst_of(view, span)))
    }

    fn longest_blackout(&self, span: Span) -> Option<Blackout> {
        match span {
            Span::All => self.max_blackout,
            Span::Latest => self.latest_blackout,
        }
    }

    /// Returns a namespace by its inode number.
    #[must_use]
    pub fn view(&self, netns: u32) -> Option<&NamespaceView> {
        let place = self
            .namespaces
            .binary_search_by_key(&netns, |view| view.netns)
            .ok()?;
        self.namespaces.get(place)
    }
}

impl Claim<'_> {
    /// Run time to a second, typically: what a hotfix that runs more rarely does not make look worse.
    fn rate(&self) -> u64 {
        let period_ns = self.view.period_ns.unwrap_or(DEFAULT_PERIOD_NS).max(1);
        let rate = u128::from(self.typical_ns) * 1_000_000_000 / u128::from(period_ns);
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

/// Time between two runs while it is not known: 2 s (`net/netfilter/ipvs/ip_vs_est.c`, Linux 6.1).
const DEFAULT_PERIOD_NS: u64 = 2_000_000_000;

#[cfg(test)]
mod tests;
