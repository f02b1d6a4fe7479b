#!/bin/sh
# Makes the namespace and registers comfychain's search attributes. Safe to run again.
# TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE say where.
set -eu

temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
    temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention 90d

# A namespace is made at once and known everywhere a little later.
until known=$(temporal operator search-attribute list --namespace "$TEMPORAL_NAMESPACE" 2>/dev/null); do
    sleep 1
done

register() {
    case $known in
    *"$1"*) ;;
    *) temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" --name "$1" --type "$2" ;;
    esac
}

register ComfychainChain Keyword
register ComfychainStatus Keyword
register ComfychainAwaitingApproval Bool
