"""Real parts behind the ports. Only `consortium.bootstrap` names them."""
