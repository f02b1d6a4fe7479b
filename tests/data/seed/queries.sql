-- Get all workflows in a chain
SELECT * FROM workflows
WHERE chain_id = 'chain-abc123'
ORDER BY step_id;

-- Get latest artifact for a workflow
-- Option 1: Direct lookup (fast)
SELECT a.* FROM artifacts a
JOIN workflows w ON a.id = w.latest_artifact_id
WHERE w.id = 'workflow-xyz';

-- Option 2: Query with flag
SELECT * FROM artifacts
WHERE workflow_id = 'workflow-xyz' AND is_latest = TRUE;

-- Get all artifacts for a workflow (including versions)
SELECT * FROM artifacts
WHERE workflow_id = 'workflow-xyz'
ORDER BY version DESC;

-- Get dependency artifacts for chain step
-- For step "edit_frame1" that depends on "extract_frame1"
SELECT a.* FROM artifacts a
JOIN workflows w ON a.id = w.latest_artifact_id
WHERE w.chain_id = 'chain-abc123'
  AND w.step_id = 'extract_frame1';

-- Track artifact lineage (version history)
WITH RECURSIVE artifact_history AS (
  -- Start with current artifact
  SELECT * FROM artifacts WHERE id = 'artifact-123'

  UNION ALL

  -- Recursively get parent artifacts
  SELECT a.* FROM artifacts a
  JOIN artifact_history ah ON a.id = ah.parent_artifact_id
)
SELECT * FROM artifact_history ORDER BY version;

-- Get all chains with failed workflows
SELECT DISTINCT c.* FROM chains c
JOIN workflows w ON w.chain_id = c.id
WHERE w.status = 'failed';
