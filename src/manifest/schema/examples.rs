//! One short manifest of each kind, for the generated page. A test checks them against the schemas.

use super::Kind;

pub(super) fn example(kind: Kind) -> &'static str {
    match kind {
        Kind::Project => {
            r#"# yaml-language-server: $schema=schemas/project.schema.json
name: acme-marketing
vars: { min_seats: 1 }
state: { type: local, path: .syncline }
environments:
  sandbox: { default: true }
  prod:
    vars: { min_seats: 5 }
    destinations: { crm: crm_prod }   # syncs say crm, this environment takes crm_prod
  rehearsal:
    destinations: { iterable: { sandbox: true } }   # a stand-in on this machine, never the real system
guards: { max_removed: 10%, min_rows: 1 }
usage: { monthly_queried_records: { limit: 1500000, on_exceed: refuse } }
"#
        }
        Kind::Source => {
            r#"# yaml-language-server: $schema=../schemas/source.schema.json
name: warehouse
type: postgres
connection:
  host: db.example.com
  user: reader
  password: "{{ env.WAREHOUSE_PASSWORD }}"
  database: marts
  sslmode: verify-full
"#
        }
        Kind::Model => {
            r#"# yaml-language-server: $schema=../schemas/model.schema.json
name: contact_namespaces
source: warehouse
description: One row per contact and namespace.
sql: |
  select email, namespace_id, plan, seats
  from contacts
  where seats >= {{ vars.min_seats }}
primary_key: [email]
columns:
  email: { type: string, sensitive: true }
  plan: { type: string, sensitive: false }
"#
        }
        Kind::Destination => {
            r#"# yaml-language-server: $schema=../schemas/destination.schema.json
name: crm
type: sqlite
connection: { path: target/crm.db }
"#
        }
        Kind::Connector => {
            r#"# yaml-language-server: $schema=../schemas/connector.schema.json
name: people_api
description: People, by e-mail.
connection:
  token: { secret: true, required: true, description: An access token. }
api:
  base_url: https://api.example.com/v1
  auth: { value: "Bearer {{ connection.token }}" }
  limits: { account: { requests: 10 } }
objects:
  person:
    identifiers: { email: { type: string, ignore_case: true } }
    open_fields: true
    operations:
      put:
        request: { method: PUT, path: "/people/{{ match.email }}", json: "{{ fields }}", limits: [account] }
      remove:
        request: { method: DELETE, path: "/people/{{ match.email }}", limits: [account] }
    modes:
      upsert: { send: put }
      mirror: { send: put, delete: remove }
"#
        }
        Kind::Test => {
            r#"# yaml-language-server: $schema=../schemas/test.schema.json
name: users
sync: users
cases:
  - name: a new person is sent with a hashed address
    rows:
      - { email: " Ada@example.com", first_name: Ada, last_name: lovelace, plan: free, seats: null, stage: lead }
    expect:
      - row: 1
        state: added
        operation: send
        record: { full_name: Ada Lovelace, plan: free }
        absent: [seats]
  - name: who has left the model stays at the destination
    previous:
      - { email: ada@example.com, first_name: Ada, last_name: Lovelace, plan: free, seats: 1, stage: lead }
    expect:
      - { key: ada@example.com, state: removed, operation: none }
"#
        }
        Kind::Sync => {
            r#"# yaml-language-server: $schema=../schemas/sync.schema.json
name: users
description: Namespaces a person is member of.
model: contact_namespaces
destination: crm
object: users
mode: upsert
match: { email: email }
fields:
  plan: plan
  seats: { column: seats, on_null: omit }
  origin: { value: warehouse }
  full_name: { template: "{{ row.first_name }} {{ row.last_name | title }}" }
  email_sha256: { column: email, transform: [trim, lower, sha256] }
  lifecycle: { column: stage, write: if_added }
on_removed: keep
options: { create: true }
schedule: { every: 24h }
guards: { max_removed: 5%, max_changed: 50%, min_rows: 1000 }
delivery: { batch_size: 1000, on_doubt: hold }
notify: [ { slack: "{{ env.SLACK_URL }}", on: [failed, partial, refused, recovered] } ]
tags: [marketing]
"#
        }
    }
}
