"""Who may ask for a page: the dependencies that its routes name."""

from typing import Annotated

from fastapi import Depends

from api.access import Actor, Scope, require
from api.backend import Backend, backend

#: Looks. Reviewer links get in; every route checks what they open.
Reader = Annotated[Actor, Depends(require(Scope.ARTIFACT_READ, links=True))]
#: Looks at what no reviewer link opens.
Insider = Annotated[Actor, Depends(require(Scope.ARTIFACT_READ))]
Reviewer = Annotated[Actor, Depends(require(Scope.REVIEW, links=True))]
Editor = Annotated[Actor, Depends(require(Scope.ARTIFACT_WRITE))]
Runner = Annotated[Actor, Depends(require(Scope.CHAIN_RUN))]
House = Annotated[Backend, Depends(backend)]
