"""Products: what a plan is at Stripe (docs.stripe.com/api/products)."""

from __future__ import annotations

from stripe.params._product_create_params import ProductCreateParams
from stripe.params._product_delete_params import ProductDeleteParams
from stripe.params._product_list_params import ProductListParams
from stripe.params._product_retrieve_params import ProductRetrieveParams
from stripe.params._product_update_params import ProductUpdateParams

from faregate.providers.sandbox.asking import Asked, Route, Sandbox, changed, is_as_sent, page_of, retrieved
from faregate.providers.sandbox.faults import Json, refused

_OPTIONAL = ("description", "statement_descriptor", "tax_code", "unit_label", "url")


def make_product(sandbox: Sandbox, asked: Asked) -> Json:
    """Make a product, under an id of the caller's if there is one."""
    sent = asked.parameters
    if "default_price_data" in sent:
        raise refused("The sandbox makes prices by /v1/prices alone", param="default_price_data")
    identifier = sent.get("id") or sandbox.new_id("prod")
    if sandbox.store.known(identifier) is not None:
        raise refused(f"Product already exists: {identifier}", param="id", code="resource_already_exists")
    now = sandbox.now()
    body: Json = {
        "id": identifier,
        "object": "product",
        "active": sent.get("active", True),
        "created": now,
        "default_price": None,
        "images": sent.get("images", []),
        "livemode": False,
        "marketing_features": sent.get("marketing_features", []),
        "metadata": sent.get("metadata", {}),
        "name": sent["name"],
        "package_dimensions": sent.get("package_dimensions"),
        "shippable": sent.get("shippable"),
        "type": "service",
        "updated": now,
    } | {name: sent.get(name) for name in _OPTIONAL}
    sandbox.store.add(body)
    sandbox.tell("product.created", body)
    return body


def change_product(sandbox: Sandbox, asked: Asked) -> Json:
    """Change a product."""
    body = sandbox.store.get("product", asked.ids[0])
    return changed(sandbox, body, asked.parameters, event="product.updated")


def delete_product(sandbox: Sandbox, asked: Asked) -> Json:
    """Delete a product; one with prices can't be."""
    body = sandbox.store.get("product", asked.ids[0])
    if sandbox.store.find("price", "product", body["id"]):
        raise refused("This product cannot be deleted because it has one or more user-created prices.", param="id")
    sandbox.store.remove(body)
    sandbox.tell("product.deleted", body)
    return {"id": body["id"], "object": "product", "deleted": True}


def list_products(sandbox: Sandbox, asked: Asked) -> Json:
    """List products."""
    sent = asked.parameters
    wanted_ids = set(sent.get("ids", []))

    def wanted(body: Json) -> bool:
        return (not wanted_ids or body["id"] in wanted_ids) and is_as_sent(body, sent, "active")

    return page_of(asked, sandbox.store.newest_first("product"), wanted)


ROUTES = [
    Route(method="POST", path="/v1/products", parameters=ProductCreateParams, answer=make_product),
    Route(method="GET", path="/v1/products", parameters=ProductListParams, answer=list_products),
    Route(method="GET", path="/v1/products/{}", parameters=ProductRetrieveParams, answer=retrieved("product")),
    Route(method="POST", path="/v1/products/{}", parameters=ProductUpdateParams, answer=change_product),
    Route(method="DELETE", path="/v1/products/{}", parameters=ProductDeleteParams, answer=delete_product),
]
