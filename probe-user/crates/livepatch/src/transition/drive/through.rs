//! A transition gone through: to its end, or back.

use std::time::Duration;

use super::{Drive, Ended};
use crate::{
    step::StepKind,
    transition::{
        decision::{Next, Seen, Transition},
        reason::{Messages, Reasons},
        stalled::{self, Stalled, Towards},
    },
};

/// The kernel tries once a second (`klp_transition_work_fn`); who is not through after two tries is told of.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// Tasks that are told of one by one.
const SHOWN: usize = 8;

impl Drive {
    /// Goes the way that was asked for to its end, or back.
    ///
    /// # Errors
    ///
    /// When a process cannot be made, or ends without an answer, or the probes cannot be read.
    pub fn through(&mut self, towards: Towards, heed_signals: bool) -> anyhow::Result<Ended> {
        let began = self.site.now();
        let mut headed = began;
        let mut transition = Transition::new(towards, self.timeout);
        let back = match towards {
            Towards::Patched => StepKind::Disable,
            Towards::Unpatched => StepKind::Enable,
        };
        let ended = loop {
            if let Some((kind, errno)) = self.refusal()?
                && kind != back
            {
                break Ended::Refused(errno);
            }
            let seen = Seen::of(&self.patch());
            let stop = heed_signals && self.is_stopped();
            let now = self.site.now();
            match transition.next(now.saturating_sub(began), seen, self.is_asking(), stop) {
                Next::Wait => {}
                Next::TurnBack => {
                    self.turn_back(towards, stop);
                    self.ask(back, &[])?;
                    headed = self.site.now();
                }
                Next::Arrived => break Ended::Arrived,
                Next::BackAgain => break Ended::BackAgain,
                Next::Stuck => break Ended::Stuck(self.still_asking()),
            }
            let is_late = self.site.now().saturating_sub(headed) > PATIENCE;
            if self.is_attended && is_late && seen == Seen::Moving {
                self.tell_stalled(transition.heading());
            }
            self.pause()?;
        };
        // Puts the kernel's messages back as they were.
        self.messages = None;
        self.log.read();
        Ok(ended)
    }

    fn turn_back(&mut self, towards: Towards, stop: bool) {
        self.kept_by = Some(self.stalled(towards));
        let why = if stop {
            "a key or a signal asked to end".to_owned()
        } else {
            format!(
                "not through within {}",
                humantime::format_duration(self.timeout)
            )
        };
        self.site
            .say(&format!("{}: {why}; turning back", self.name));
    }

    fn stalled(&self, towards: Towards) -> Vec<Stalled> {
        stalled::tasks(&self.site.root, towards, &Reasons::parse(self.log.lines()))
    }

    /// Tells of the tasks that are not through, whenever that is something else than before.
    fn tell_stalled(&mut self, heading: Towards) {
        if self.messages.is_none() {
            self.messages = Messages::switch_on(&self.site.root);
        }
        let text = told(&self.stalled(heading), self.log.lines());
        if text != self.told {
            self.site
                .say(&format!("{}: in transition, kept by {text}", self.name));
            self.told = text;
        }
    }

    /// Says what kept the transition when it was turned back, or that another process turned it back: a clause.
    #[must_use]
    pub fn kept_by(&self) -> String {
        match &self.kept_by {
            Some(tasks) => format!("What kept it: {}", told(tasks, self.log.lines())),
            None => format!(
                "Another process disabled it (kpatch, or a write to /sys/kernel/livepatch/{}/enabled)",
                self.name
            ),
        }
    }
}

/// The tasks, or what it is where `/proc` has none.
fn told(tasks: &[Stalled], log: &[String]) -> String {
    if !tasks.is_empty() {
        let shown: Vec<String> = tasks.iter().take(SHOWN).map(Stalled::to_string).collect();
        return match tasks.len().saturating_sub(SHOWN) {
            0 => shown.join("; "),
            more => format!("{}; and {more} more", shown.join("; ")),
        };
    }
    match Reasons::parse(log).of_idle_cpu() {
        Some(reason) => format!("the task of an idle CPU, which {reason}"),
        None => {
            "no task that /proc shows: an idle CPU, or a wait inside the kernel (rcu_tasks)".into()
        }
    }
}
