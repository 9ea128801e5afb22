//! What measuring costs, against the promises.

use xtask::bench;

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn measuring_keeps_its_promises_of_cost() {
    let broken = bench::verdict(&bench::run().unwrap());
    assert!(broken.is_empty(), "{broken:#?}");
}
