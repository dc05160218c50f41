"""PoseLab's engine: learned pose recovery for single-particle cryo-EM."""
