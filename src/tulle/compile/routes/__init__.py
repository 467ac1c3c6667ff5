"""Gateways, routes and Ingresses → the form that the proxy's configuration is made from."""

from .route import route
from .services import Standing, with_gateways

__all__ = ["Standing", "route", "with_gateways"]
