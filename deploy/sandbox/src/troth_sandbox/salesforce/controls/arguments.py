"""What the controls take: the site, with every transaction that is due committed, an object's name, a JSON body."""

from typing import Annotated, Any

from fastapi import Body, Depends, HTTPException, Request

from troth_sandbox.salesforce.simulation import Site


def settled(request: Request) -> Site:
    """The site behind the application, up to date."""
    site: Site = request.app.state.site
    site.transactions.settle()
    return site


Held = Annotated[Site, Depends(settled)]


def object_name(name: str, site: Held) -> str:
    """The exact name of the object a path names."""
    kind = site.org.schema.get(name)
    if kind is None:
        raise HTTPException(404, f"this org has no object {name}")
    return kind.name


ObjectName = Annotated[str, Depends(object_name)]
Document = Annotated[dict[str, Any], Body()]
