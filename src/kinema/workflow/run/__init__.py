"""Running the graph of a workflow: values on its links, execution, the cache of node results."""
