"""GatewayClasses: which are this controller's, and what is said of them."""

from __future__ import annotations

from tulle.model.gateway import GatewayClass
from tulle.model.references import BUILT_IN_CLASS, CONTROLLER
from tulle.model.world import World

from .conditions import ACCEPTED, Json, Verdict, conditions

# By the names of the Gateway API's features, in order as its status demands.
SUPPORTED_FEATURES = (
    "BackendTLSPolicy",
    "BackendTLSPolicySANValidation",
    "GRPCRoute",
    "GRPCRouteNamedRouteRule",
    "GRPCRouteRequestHeaderModifier",
    "Gateway",
    "GatewayAddressEmpty",
    "GatewayBackendClientCertificate",
    "GatewayFrontendClientCertificateValidation",
    "GatewayFrontendClientCertificateValidationInsecureFallback",
    "GatewayHTTPListenerIsolation",
    "GatewayHTTPSListenerDetectMisdirectedRequests",
    "GatewayInfrastructurePropagation",
    "GatewayPort8080",
    "GatewayRouteHostnameIntersectionPrecedence",
    "GatewayStaticAddresses",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendRequestRedirect",
    "HTTPRouteBackendTimeout",
    "HTTPRouteBackendURLRewrite",
    "HTTPRouteCORS",
    "HTTPRouteDestinationPortMatching",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestMirror",
    "HTTPRouteRequestMultipleMirrors",
    "HTTPRouteRequestPercentageMirror",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteRetry",
    "HTTPRouteRetryBackendTimeout",
    "HTTPRouteRetryConnectionError",
    "HTTPRouteSchemeRedirect",
    "ListenerSet",
    "Mesh",
    "MeshClusterIPMatching",
    "MeshConsumerRoute",
    "MeshGRPCRoute",
    "MeshHTTPRouteBackendRequestHeaderModification",
    "MeshHTTPRouteNamedRouteRule",
    "MeshHTTPRouteQueryParamMatching",
    "MeshHTTPRouteRedirectPath",
    "MeshHTTPRouteRedirectPort",
    "MeshHTTPRouteRewritePath",
    "MeshHTTPRouteSchemeRedirect",
    "ReferenceGrant",
    "TCPRoute",
    "TLSRoute",
    "TLSRouteModeMixed",
    "TLSRouteModeTerminate",
    "UDPRoute",
)


def own_classes(world: World) -> frozenset[str]:
    """Names of the accepted classes; one is there without anybody having made it."""
    found = {
        name
        for name, item in world.gateway_classes.items()
        if item.spec.controller_name == CONTROLLER and _verdict(item).holds
    }
    return frozenset(found if BUILT_IN_CLASS in world.gateway_classes else found | {BUILT_IN_CLASS})


def class_status(item: GatewayClass) -> Json | None:
    """None: it is another controller's."""
    if item.spec.controller_name != CONTROLLER:
        return None
    return {
        "conditions": conditions(item.metadata.generation, Accepted=_verdict(item)),
        "supportedFeatures": [{"name": name} for name in SUPPORTED_FEATURES],
    }


def _verdict(item: GatewayClass) -> Verdict:
    if item.spec.parameters_ref is not None:
        return Verdict(False, "InvalidParameters", "parametersRef: no kind of parameters is known")
    return ACCEPTED
