//! What a dbt model is made of, as digests: a change anywhere upstream changes what is told of it.
//!
//! A node's digest covers the checksum of its file (the code as it is written, or a seed's data), how it is materialised
//! and every macro of the project and its packages that it uses, directly or not. Compiled code is left out on purpose:
//! it is absent after `dbt parse`, and has times and names of development schemas in it, so that the same project would
//! have another digest each day. Macros of dbt itself are left out too: an upgrade of dbt is no change of a model.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::{Manifest, Node};

impl Manifest {
    /// The node and all that it is made of: unique id → digest (16 hex digits), sorted.
    pub fn lineage(&self, node: &Node) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut pending = vec![&node.unique_id];
        while let Some(id) = pending.pop() {
            if found.contains_key(id) {
                continue;
            }
            // An id that is not there is still one that it is made of.
            let node = self.nodes.get(id);
            found.insert(id.clone(), node.map_or_else(String::new, |node| self.digest(node)));
            pending.extend(node.into_iter().flat_map(|node| &node.upstream));
        }
        found
    }

    fn digest(&self, node: &Node) -> String {
        let mut hash = Sha256::new();
        let mut put = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        put(&node.checksum);
        put(&node.materialized);
        // A source table is what it is called in the warehouse; the name of a model's table is that of an environment.
        put(if node.source_name.is_some() { &node.alias } else { "" });
        for (id, sql) in self.macros_of(node) {
            put(id);
            put(sql);
        }
        let digest = hex::encode(hash.finalize());
        digest.get(..16).unwrap_or(&digest).to_owned()
    }

    /// The macros a node uses that somebody of the project can change, by id.
    fn macros_of<'a>(&'a self, node: &'a Node) -> BTreeMap<&'a str, &'a str> {
        let own = format!("dbt_{}", self.adapter);
        // The packages that come with dbt and its adapter; Redshift's and Databricks' stand on those of others.
        let of_dbt = |package: &str| package == own || ["dbt", "dbt_postgres", "dbt_spark"].contains(&package);
        let (mut found, mut seen) = (BTreeMap::new(), BTreeSet::new());
        let mut pending: Vec<&str> = node.macros.iter().map(String::as_str).collect();
        while let Some(id) = pending.pop() {
            let Some(known) = self.macros.get(id).filter(|_| seen.insert(id)) else { continue };
            if !of_dbt(&known.package) {
                found.insert(id, known.sql.as_str());
                pending.extend(known.macros.iter().map(String::as_str));
            }
        }
        found
    }
}
