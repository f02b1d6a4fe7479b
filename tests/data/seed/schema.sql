CREATE TABLE chains (
    id TEXT PRIMARY KEY,  -- UUID
    name TEXT NOT NULL,  -- Chain name from YAML (e.g., "image-edit-to-video-pipeline")
    description TEXT,

    -- Temporal workflow info
    temporal_workflow_id TEXT UNIQUE,
    temporal_run_id TEXT,

    -- Status
    status TEXT NOT NULL,  -- 'initializing', 'executing_level_N', 'completed', 'failed', 'cancelled'
    current_level INTEGER DEFAULT 0,

    -- Timestamps
    started_at TIMESTAMP NOT NULL,
    completed_at TIMESTAMP,

    -- Results
    error_message TEXT,
    chain_definition JSON,  -- The full chain YAML as JSON

    -- Metadata
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX idx_chains_temporal ON chains(temporal_workflow_id);
CREATE INDEX idx_chains_status ON chains(status);
CREATE INDEX idx_chains_started ON chains(started_at DESC);

CREATE TABLE workflows (
    id TEXT PRIMARY KEY,  -- UUID

    -- Chain relationship (NULL for standalone workflows)
    chain_id TEXT,  -- FK to chains, NULL if standalone
    step_id TEXT,  -- Step ID from chain YAML (e.g., "extract_frame1"), NULL if standalone

    -- Workflow info
    workflow_name TEXT NOT NULL,  -- e.g., "imageSave", "qwen_image_edit"
    server_address TEXT NOT NULL,
    prompt_id TEXT NOT NULL,

    -- Temporal workflow info (for standalone workflows or child workflows)
    temporal_workflow_id TEXT,
    temporal_run_id TEXT,

    -- Status
    status TEXT NOT NULL,  -- 'queued', 'executing', 'completed', 'failed', 'skipped'

    -- Latest artifact reference (denormalized for quick access)
    latest_artifact_id TEXT,  -- FK to artifacts, updated when new artifact is approved

    -- Timestamps
    queued_at TIMESTAMP NOT NULL,
    started_at TIMESTAMP,
    completed_at TIMESTAMP,

    -- Execution details
    error_message TEXT,
    workflow_definition JSON,  -- The actual workflow JSON sent to ComfyUI
    parameters JSON,  -- Resolved parameters used (e.g., {"1.video": "ComfyUI_00012_.mp4"})

    -- Metadata
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,

    FOREIGN KEY (chain_id) REFERENCES chains(id) ON DELETE CASCADE,
    FOREIGN KEY (latest_artifact_id) REFERENCES artifacts(id) ON DELETE SET NULL
);

CREATE INDEX idx_workflows_chain ON workflows(chain_id, step_id);
CREATE INDEX idx_workflows_prompt ON workflows(prompt_id);
CREATE INDEX idx_workflows_temporal ON workflows(temporal_workflow_id);
CREATE INDEX idx_workflows_status ON workflows(status);

CREATE TABLE artifacts (
    id TEXT PRIMARY KEY,  -- UUID
    workflow_id TEXT NOT NULL,  -- FK to workflows

    -- File info
    filename TEXT NOT NULL,  -- Original ComfyUI filename (e.g., "ComfyUI_00001_.png")
    local_filename TEXT NOT NULL UNIQUE,  -- Unique local filename (e.g., "8a3f2b1c.png")
    local_path TEXT NOT NULL UNIQUE,  -- Full path to file
    file_type TEXT NOT NULL,  -- 'image', 'video', etc.
    file_format TEXT,  -- 'png', 'mp4', 'jpg', etc.
    file_size INTEGER,  -- Bytes

    -- ComfyUI metadata
    node_id TEXT,  -- ComfyUI node that generated this (e.g., "9")
    subfolder TEXT DEFAULT '',  -- Subfolder in ComfyUI
    comfy_folder_type TEXT DEFAULT 'output',  -- 'output', 'input', 'temp'

    -- Versioning
    version INTEGER DEFAULT 1,
    is_latest BOOLEAN DEFAULT TRUE,  -- Only one artifact per workflow should have this = TRUE
    parent_artifact_id TEXT,  -- FK to artifacts (for edited versions)

    -- Approval workflow
    approval_status TEXT DEFAULT 'auto_approved',  -- 'pending', 'approved', 'rejected', 'auto_approved', 'edited'
    approved_by TEXT,  -- User email or system
    approved_at TIMESTAMP,
    rejection_reason TEXT,

    -- Metadata
    metadata JSON,  -- Additional metadata (resolution, duration, etc.)
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,

    FOREIGN KEY (workflow_id) REFERENCES workflows(id) ON DELETE CASCADE,
    FOREIGN KEY (parent_artifact_id) REFERENCES artifacts(id) ON DELETE SET NULL
);

CREATE INDEX idx_artifacts_workflow ON artifacts(workflow_id);
CREATE INDEX idx_artifacts_latest ON artifacts(workflow_id, is_latest);
CREATE INDEX idx_artifacts_approval ON artifacts(approval_status);
CREATE INDEX idx_artifacts_created ON artifacts(created_at DESC);
CREATE UNIQUE INDEX idx_artifacts_one_latest_per_workflow ON artifacts(workflow_id, is_latest) WHERE is_latest = TRUE;

CREATE TABLE artifact_transfers (
    id TEXT PRIMARY KEY,  -- UUID
    artifact_id TEXT NOT NULL,  -- FK to artifacts (which artifact was transferred)

    -- Transfer info
    source_workflow_id TEXT NOT NULL,  -- Where it came from
    target_workflow_id TEXT,  -- Where it's going (NULL until target starts)
    target_server TEXT NOT NULL,  -- Target ComfyUI server address
    target_subfolder TEXT DEFAULT '',

    -- Status
    status TEXT NOT NULL,  -- 'pending', 'uploading', 'completed', 'failed'
    uploaded_at TIMESTAMP,
    error_message TEXT,

    -- Metadata
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,

    FOREIGN KEY (artifact_id) REFERENCES artifacts(id) ON DELETE CASCADE,
    FOREIGN KEY (source_workflow_id) REFERENCES workflows(id) ON DELETE CASCADE,
    FOREIGN KEY (target_workflow_id) REFERENCES workflows(id) ON DELETE CASCADE
);

CREATE INDEX idx_transfers_artifact ON artifact_transfers(artifact_id);
CREATE INDEX idx_transfers_source ON artifact_transfers(source_workflow_id);
CREATE INDEX idx_transfers_target ON artifact_transfers(target_workflow_id);
CREATE INDEX idx_transfers_status ON artifact_transfers(status);
