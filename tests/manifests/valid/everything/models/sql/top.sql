-- the best
select email from {{ ref("base") }}
where zone = '{{ vars.only_prod }}';
