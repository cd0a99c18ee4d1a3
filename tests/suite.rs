//! All tests that run the real thing: the binary, real databases, real files. One test binary, so that it links once.

mod fakesnow;
mod outside;
mod postgres;
mod project;
mod spark;

mod against;
mod apply;
mod approved;
mod careful;
mod cli;
mod crash;
mod databases;
mod datasette;
mod dbt;
mod destinations;
mod doctor;
mod faults;
mod forge;
mod graph;
mod house;
mod html;
mod http;
mod manifests;
mod mirror;
mod model_tests;
mod notifications;
mod plan;
mod refusals;
mod saas;
mod sandbox;
mod schedules;
mod sources;
mod sync_tests;
mod usage;
