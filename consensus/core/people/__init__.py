"""What the votes say of the people who cast them: agreement, suspicion, pay."""
