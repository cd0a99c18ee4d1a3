select p.id from {{ ref('people') }} p where p.updated_at < '{{ vars.plans_from }}-01-01'
