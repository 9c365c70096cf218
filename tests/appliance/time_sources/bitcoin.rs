//! A real Bitcoin node on regtest.

use super::*;
use crate::common::bitcoind::Bitcoind;

struct Node(Bitcoind);

const SETTINGS: [&str; 1] = ["-disablewallet=1"];

impl Node {
    fn start() -> Option<Self> {
        Some(Self(Bitcoind::start(&SETTINGS)?))
    }

    /// Finds blocks, at this time by the node's clock.
    fn mine(&self, time_s: u64, count: u32) {
        self.0.ask(&["setmocktime", &time_s.to_string()]);
        let address = "bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202";
        self.0.ask(&["generatetoaddress", &count.to_string(), address]);
    }

    fn site(&self) -> Site {
        Site::new(&self.settings("regtest"))
    }

    fn settings(&self, network: &str) -> String {
        format!(
            "[bitcoin]
rpc = \"{}\"
cookie_file = \"{}\"
network = \"{network}\"
",
            self.0.url(),
            self.0.cookie().display()
        )
    }
}

#[test]
fn a_nodes_best_block_bounds_time_through_restarts_and_lies() {
    let Some(mut node) = Node::start() else { return };
    let site = node.site();
    let name = "btc:node";
    let (_, answer) = site.check_time();
    let empty = source(&answer, name);
    assert!(is(&empty, "rejected") && reason(&empty).contains("no block"), "{empty}");
    let now = epoch().as_secs();
    node.mine(now - 1800, 12);
    let (bound, answer) = site.until(name, |source| is(source, "ok"));
    assert!(bound["not_before"].is_string() && bound["detail"]["height"] == 12, "{bound}");
    // It bounds, and vouches for nothing finer.
    assert_ne!(answer["verdict"], "agreed");

    // The node on another network than the settings say bounds nothing.
    site.settings(&node.settings("signet"));
    let (_, answer) = site.check_time();
    let other = source(&answer, name);
    assert!(is(&other, "rejected") && reason(&other).contains("regtest"), "{other}");
    site.settings(&node.settings("regtest"));

    // A restart: another cookie.
    let before = fs::read_to_string(node.0.cookie()).unwrap();
    node.0.stop();
    node.0.restart(&SETTINGS);
    let again = fs::read_to_string(node.0.cookie()).unwrap();
    assert_ne!(again, before);
    site.until(name, |source| is(source, "ok"));

    // Down: absent, and a wrong cookie is told as such, without its content.
    node.0.kill();
    let (down, _) = site.until(name, |source| is(source, "absent"));
    assert!(reason(&down).contains("does not answer"), "{down}");
    node.0.restart(&SETTINGS);
    fs::write(site.path("cookie"), "__cookie__:secret-of-yesterday").unwrap();
    let wrong = node.settings("regtest").replace(
        &node.0.cookie().display().to_string(),
        &site.path("cookie").display().to_string(),
    );
    site.settings(&wrong);
    let (_, answer) = site.check_time();
    let refused = source(&answer, name);
    assert!(reason(&refused).contains("refuses"), "{refused}");
    assert!(!answer.to_string().contains("yesterday"));
    site.settings(&node.settings("regtest"));

    // A tip in the future: the clock would be behind it.
    node.mine(now + 7000, 12);
    node.mine(now + 14_000, 12);
    let (future, answer) = site.until(name, |source| is(source, "disagrees"));
    assert!(future["not_before"].is_string(), "{future}");
    assert_eq!(answer["verdict"], "disputed");
}

#[test]
fn a_tip_of_long_ago_disputes_a_clock_that_may_be_ahead() {
    let Some(node) = Node::start() else { return };
    node.mine(epoch().as_secs() - 4 * 3600, 12);
    let site = node.site();
    let ticks = site.run(2);
    let clock = &ticks.last().unwrap()["data"]["clock"];
    let tip = source(clock, "btc:node");
    assert!(is(&tip, "disagrees") && tip["detail"]["height"] == 12, "{tip}");
    assert_eq!(clock["verdict"], "disputed");
    // Recorded, told, and no failure of the evidence.
    let report = site.verify();
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["code"] == "clock.disputed"), "{report:#}");
    assert!(findings.iter().all(|finding| finding["severity"] != "error"), "{report:#}");
}
