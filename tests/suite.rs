//! All tests that run the real thing: the binary, real databases, real files. One test binary, so that it links once.

mod postgres;
mod project;

mod against;
mod apply;
mod approved;
mod canaries;
mod careful;
mod cli;
mod command;
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
mod import;
mod manifests;
mod mirror;
mod model_tests;
mod notifications;
mod plan;
mod refusals;
mod saas;
mod sandbox;
mod schedules;
mod singer;
mod sources;
mod sync_tests;
mod usage;
