"""Functions of PostgreSQL that are not here, by name: text search, XML, large objects, replication,
files of the server. Who calls one is told so, instead of that there is no such function.
"""

from __future__ import annotations

from sql.keywords import words

UNSUPPORTED = words(
    """array_to_tsvector get_current_ts_config json_to_tsvector jsonb_to_tsvector numnode phraseto_tsquery
    plainto_tsquery querytree setweight strip to_tsquery to_tsvector ts_debug ts_delete ts_filter ts_headline
    ts_lexize ts_parse ts_rank ts_rank_cd ts_rewrite ts_stat ts_token_type tsquery_phrase tsvector_to_array
    websearch_to_tsquery

    cursor_to_xml cursor_to_xmlschema database_to_xml database_to_xml_and_xmlschema database_to_xmlschema
    query_to_xml query_to_xml_and_xmlschema query_to_xmlschema schema_to_xml schema_to_xml_and_xmlschema
    schema_to_xmlschema table_to_xml table_to_xml_and_xmlschema table_to_xmlschema xml_is_well_formed
    xml_is_well_formed_content xml_is_well_formed_document xmlagg xmlcomment xmlconcat xmlexists xmlpi xmlroot
    xpath xpath_exists

    lo_close lo_creat lo_create lo_export lo_from_bytea lo_get lo_import lo_lseek lo_lseek64 lo_open lo_put
    lo_tell lo_tell64 lo_truncate lo_truncate64 lo_unlink loread lowrite

    pg_backup_start pg_backup_stop pg_copy_logical_replication_slot pg_copy_physical_replication_slot
    pg_create_logical_replication_slot pg_create_physical_replication_slot pg_create_restore_point
    pg_current_wal_flush_lsn pg_current_wal_insert_lsn pg_current_wal_lsn pg_drop_replication_slot
    pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_logical_emit_message
    pg_logical_slot_get_binary_changes pg_logical_slot_get_changes pg_logical_slot_peek_binary_changes
    pg_logical_slot_peek_changes pg_promote pg_replication_origin_create pg_replication_origin_drop
    pg_replication_slot_advance pg_switch_wal pg_wal_lsn_diff pg_wal_replay_pause pg_wal_replay_resume
    pg_walfile_name pg_walfile_name_offset

    brin_desummarize_range brin_summarize_new_values brin_summarize_range cash_words gin_clean_pending_list
    pg_column_compression pg_control_checkpoint pg_control_init pg_control_recovery pg_control_system
    pg_current_logfile pg_current_snapshot pg_describe_object pg_export_snapshot pg_extension_update_paths
    pg_filenode_relation pg_get_backend_memory_contexts pg_get_object_address pg_get_shmem_allocations
    pg_hba_file_rules pg_ident_file_mappings pg_identify_object pg_identify_object_as_address
    pg_import_system_collations pg_index_has_property pg_indexam_has_property pg_last_committed_xact
    pg_log_backend_memory_contexts pg_ls_archive_statusdir pg_ls_dir pg_ls_logdir pg_ls_logicalmapdir
    pg_ls_logicalsnapdir pg_ls_replslotdir pg_ls_tmpdir pg_ls_waldir pg_partition_root pg_partition_tree
    pg_read_binary_file pg_read_file pg_relation_filenode pg_relation_filepath pg_rotate_logfile
    pg_sequence_parameters pg_snapshot_xip pg_snapshot_xmax pg_snapshot_xmin pg_stat_file
    pg_tablespace_databases pg_visible_in_snapshot pg_xact_commit_timestamp pg_xact_status to_ascii
    txid_current_snapshot txid_snapshot_xip txid_snapshot_xmax txid_snapshot_xmin txid_status
    txid_visible_in_snapshot"""
)
