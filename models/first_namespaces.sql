-- The namespace a person joined first. joined_at alone can tie (two invitations accepted with one click), so
-- namespace_id makes the order total.
with
namespace as materialized (
  select namespace_id, name, path, plan, trial_ends_on, created_at from namespaces
),
membership as materialized (
  select contact_id, namespace_id, access_level, joined_at,
    row_number() over (partition by contact_id order by joined_at, namespace_id) as place
  from memberships
),
first_membership as materialized (
  select m.contact_id, m.namespace_id, m.access_level, m.joined_at,
    n.name, n.path, n.plan, n.trial_ends_on, n.created_at
  from membership as m
  join namespace as n on n.namespace_id = m.namespace_id
  where m.place = 1
)
select
  lower(trim(c.email)) as email,
  f.namespace_id, f.name as namespace_name, f.path as namespace_path, f.plan as namespace_plan,
  f.trial_ends_on, f.created_at as namespace_created_at, f.access_level, f.joined_at
from contacts as c
cross join first_membership as f on f.contact_id = c.contact_id
