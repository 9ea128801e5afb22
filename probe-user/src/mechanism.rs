//! The mechanism that measures, in words.

use monitor::mechanism::{Chosen, Lacking, Mechanism, Unavailable};

/// Says which mechanism measures, what it does not give, and why it is no better one.
pub fn told(mechanism: Mechanism, unavailable: &[Unavailable]) -> String {
    let mut text = format!("{mechanism}: {}", mechanism.is());
    for lacking in cannot(mechanism) {
        text.push_str("; ");
        text.push_str(lacking);
    }
    for one in unavailable {
        text.push_str("; ");
        text.push_str(&not_available(one));
    }
    text
}

/// Says that a better mechanism does not measure, and what that means; `None` where the best does, or a person chose.
pub fn instead_of_better(chosen: &Chosen) -> Option<String> {
    (!chosen.unavailable.is_empty()).then(|| told(chosen.mechanism, &chosen.unavailable))
}

/// Says why a mechanism is not available.
pub fn not_available(Unavailable { mechanism, why }: &Unavailable) -> String {
    format!("{mechanism} is not available: {why}")
}

/// What a mechanism does not give, in clauses.
fn cannot(mechanism: Mechanism) -> impl Iterator<Item = &'static str> {
    mechanism.cannot().iter().map(|lacking| match lacking {
        Lacking::LockWaits => "it does not see waits for est_lock",
        Lacking::TimersBeforeTheirFirstRun => "it knows nothing of a timer before its first run",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_better_one_that_is_not_available_is_told_with_its_reason() {
        let chosen = Chosen {
            mechanism: Mechanism::Perf,
            unavailable: vec![Unavailable {
                mechanism: Mechanism::Bpf,
                why: "this kernel carries no BTF".into(),
            }],
        };
        let text = instead_of_better(&chosen).unwrap();
        assert!(text.starts_with("perf: trace events"), "{text}");
        let end = "; bpf is not available: this kernel carries no BTF";
        assert!(text.ends_with(end), "{text}");
        let best = Chosen {
            mechanism: Mechanism::Bpf,
            unavailable: Vec::new(),
        };
        assert_eq!(instead_of_better(&best), None);
    }
}
