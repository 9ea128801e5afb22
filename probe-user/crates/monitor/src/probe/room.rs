//! How much room the maps have: by the number of network namespaces that there are when the probes are loaded.

use probe_ebpf::{EVENTS_BYTES, MAX_ESTIMATORS, USUAL_ESTIMATORS};

/// Limits the map of estimators, for tests.
const LIMIT: &str = "IPVS_LATENCY_ROOM";

/// Bytes of the ring buffer of runs for each namespace: of 64 a record, and a run in 2 s, this is room for the runs of 4 s
/// at least, where a tick reads those of one.
const EVENTS_BYTES_EACH: u32 = 128;

/// The ring buffer of runs is never larger. A process that has it mapped counts it twice.
const EVENTS_BYTES_MAX: u32 = 8 * 1024 * 1024;

/// The sizes of maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Entries of the map of estimators.
    pub estimators: u32,
    /// Bytes of the ring buffer of runs.
    pub events_bytes: u32,
}

impl Room {
    /// Where nothing is kept about any namespace.
    pub const NONE: Self = Self {
        estimators: 1,
        events_bytes: EVENTS_BYTES,
    };

    /// For a node with some thousand namespaces at most.
    pub fn usual() -> Self {
        Self::limited(USUAL_ESTIMATORS, EVENTS_BYTES)
    }

    /// For that many namespaces, and as many again that may come.
    pub fn wanted(namespaces: usize) -> Self {
        let namespaces = u32::try_from(namespaces).unwrap_or(u32::MAX);
        let rounded = |number: u32| number.checked_next_power_of_two().unwrap_or(1 << 31);
        let estimators = rounded(namespaces.saturating_mul(2));
        let events_bytes = rounded(namespaces.saturating_mul(EVENTS_BYTES_EACH));
        Self::limited(
            estimators.clamp(USUAL_ESTIMATORS, MAX_ESTIMATORS),
            events_bytes.clamp(EVENTS_BYTES, EVENTS_BYTES_MAX),
        )
    }

    fn limited(estimators: u32, events_bytes: u32) -> Self {
        let limit = std::env::var(LIMIT).ok();
        let limit = limit.and_then(|limit| limit.parse::<u32>().ok());
        Self {
            estimators: estimators.min(limit.unwrap_or(MAX_ESTIMATORS).max(1)),
            events_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_twice_as_many_namespaces_up_to_the_limit() {
        for (namespaces, estimators, events_bytes) in [
            (0, USUAL_ESTIMATORS, EVENTS_BYTES),
            (4_096, USUAL_ESTIMATORS, EVENTS_BYTES),
            (4_097, 16_384, 1024 * 1024),
            (12_001, 32_768, 2 * 1024 * 1024),
            (1_000_000, MAX_ESTIMATORS, EVENTS_BYTES_MAX),
            (usize::MAX, MAX_ESTIMATORS, EVENTS_BYTES_MAX),
        ] {
            let room = Room {
                estimators,
                events_bytes,
            };
            assert_eq!(Room::wanted(namespaces), room, "{namespaces}");
        }
    }
}
