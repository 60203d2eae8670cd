"""Pure decisions about money, limits and time. Standard library only: no clock, socket, file or randomness."""
