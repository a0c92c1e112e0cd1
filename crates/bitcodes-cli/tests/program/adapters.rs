//! Tests of choosing a GPU.

use std::io::Write;

use crate::place::Place;

#[test]
fn adapters_are_listed_and_chosen_by_number_or_name() {
    let place = Place::new();
    place.write_data("data", 12, 8, 8);
    let list = place.run("adapters");
    let error = String::from_utf8_lossy(&list.stderr);
    let required = std::env::var("BITCODES_REQUIRE_WGPU").is_ok_and(|value| value == "1");
    if !cfg!(feature = "wgpu") {
        assert!(!required, "wgpu is not compiled in");
        assert_eq!(list.status.code(), Some(2));
        assert!(error.contains("wgpu is not compiled in"), "{error}");
        return;
    }
    if !list.status.success() {
        assert!(!required, "{error}");
        assert!(error.contains("has no device here: no "), "{error}");
        writeln!(std::io::stderr(), "skipped: no adapter").unwrap();
        return;
    }
    let list = String::from_utf8(list.stdout).unwrap();
    let adapters: Vec<&str> = list.lines().collect();
    let first = adapters[0]
        .strip_prefix("0: ")
        .expect("a number and a name");
    let (name, kind) = first.split_once(" (").expect("a name and a kind");
    assert!(kind.ends_with(')'), "{first}");

    let train = "train --data data --epochs 1 --backend wgpu --adapter";
    let said = |argument: &str| {
        let mut command = place.command(train);
        let output = command.arg(argument).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said("0").contains(&format!("computing on {first}\n")));
    if adapters.len() == 1 {
        assert!(said(&name.to_uppercase()).contains(&format!("computing on {first}\n")));
    }
    let runs = place.names();
    for wrong in ["987654321", "no-such-gpu"] {
        let output = place.run(&format!("{train} {wrong}"));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        // The driver may print lines before the error.
        let error = String::from_utf8(output.stderr).unwrap();
        let error = error.lines().last().unwrap_or_default();
        assert!(error.starts_with("error: "), "{error}");
        assert!(error.contains("0 adapters match"), "{error}");
        assert!(
            error.contains(&format!("expected one of 0: {first}")),
            "{error}"
        );
    }
    assert_eq!(place.names(), runs);
}

#[test]
fn an_adapter_for_a_backend_that_has_none_is_a_wrong_call() {
    let place = Place::new();
    let error = place.fail(2, "eval --model run --adapter 0");
    assert_eq!(
        error,
        "error: --adapter 0: the backend is flex, expected wgpu"
    );
}
