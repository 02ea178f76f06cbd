"""What the numbers say: records, comparisons, figures and pages; reads files only, needs no TensorFlow."""
