-- The namespace a person joined first. joined_at alone can tie (two invitations accepted with one click), so
-- namespace_id makes the order total.
with membership as (
  select contact_id, namespace_id, access_level, joined_at,
    row_number() over (partition by contact_id order by joined_at, namespace_id) as place
  from memberships
)
select
  lower(trim(c.email)) as email,
  n.namespace_id, n.name as namespace_name, n.path as namespace_path, n.plan as namespace_plan,
  n.trial_ends_on, n.created_at as namespace_created_at, m.access_level, m.joined_at
from membership as m
join contacts as c on c.contact_id = m.contact_id
join namespaces as n on n.namespace_id = m.namespace_id
where m.place = 1
