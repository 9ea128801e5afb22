//! PID 1 of the lab's guests.

fn main() {
    xtask::guest::init();
}
