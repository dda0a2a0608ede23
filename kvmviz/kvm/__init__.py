"""The page that KVM on arm64 shares with userspace: who writes it, who reads it, and over time."""
