"""Before any money is spent: what in the task's data would make a result worthless."""
