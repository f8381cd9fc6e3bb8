"""What every engine offers: the interfaces and errors that the other folders use."""
