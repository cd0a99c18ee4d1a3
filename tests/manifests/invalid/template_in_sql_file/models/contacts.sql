select *
from contacts
where seats > {{ vars.mins }}
