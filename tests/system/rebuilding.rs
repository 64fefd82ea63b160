//! Read models are made anew from the first event, and come out the same.

use spina_tests::flights::Flights;

use crate::models::{self, MODELS};

#[test]
fn rebuilt_models_have_the_same_rows() {
    let flights = Flights::get();
    let rows = || models::rows(|verb| flights.spina(verb));
    let before = rows();
    for (model, _) in MODELS {
        let done = flights.spina(&["projection", "rebuild", &format!("flights/{model}")]).json();
        assert_eq!(done["rebuild"]["state"], "done", "{done}");
        assert_eq!(done["rebuild"]["done"], done["rebuild"]["total"], "{done}");
    }
    models::assert_same(&rows(), &before);
}

#[test]
fn a_rebuild_shows_how_it_goes() {
    let ran = Flights::get().spina(&["projection", "rebuild", "carrier_punctuality"]).run();
    assert!(ran.status.success() && ran.stdout.contains("was rebuilt"), "{ran:?}");
    let unknown = Flights::get().spina(&["projection", "rebuild", "flights/nothing"]).run();
    assert_eq!(unknown.status.code(), Some(5), "{unknown:?}");
}
