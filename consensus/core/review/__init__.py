"""What people look at: which items are first, who looks at which, and known answers among the tasks."""
